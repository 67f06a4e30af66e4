package io.sparsedit.examples;

import io.sparsedit.runtime.Session;
import io.sparsedit.runtime.Tensor;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * A denoising run by Euler steps of a flow: after each step the latents move by the model's first
 * output times the change of sigma.
 */
final class Trajectory {
  private final Session session;
  private final double[] sigmas;
  private final Map<String, Tensor> inputs = new LinkedHashMap<>();
  private final Map<String, Tensor> outputs;
  private double milliseconds;

  /**
   * A run from these inputs; they are copied.
   *
   * @param sigmas the noise levels, one more than the session has steps
   */
  Trajectory(Session session, double[] sigmas, Map<String, Tensor> start) {
    this.session = session;
    this.sigmas = sigmas.clone();
    start.forEach((name, tensor) -> inputs.put(name, tensor.copy()));
    this.outputs = session.newOutputs(inputs);
  }

  /** Evaluates the model on the current latents; the time this takes is kept. */
  void evaluate(int step) {
    inputs.forEach(
        (name, tensor) -> {
          if (name.toLowerCase(Locale.ROOT).contains("timestep")) {
            fill(tensor, 1000 * sigmas[step]);
          }
        });
    long start = System.nanoTime();
    session.run(step, 0, inputs, outputs);
    milliseconds = (System.nanoTime() - start) / 1e6;
  }

  /** Moves the latents by the evaluation of this step. */
  void advance(int step) {
    Tensor velocity = output();
    latents()
        .ifPresent(
            latents -> {
              for (int i = 0; i < latents.elementCount(); i++) {
                latents.set(
                    i, latents.get(i) + (sigmas[step + 1] - sigmas[step]) * velocity.get(i));
              }
            });
  }

  /** The latents as they are now: the input that has the shape of the model's first output. */
  Optional<Tensor> latents() {
    return inputs.values().stream()
        .filter(
            tensor -> tensor.type().isFloating() && Arrays.equals(tensor.dims(), output().dims()))
        .findFirst();
  }

  /** Takes over the latents and other inputs of another run. */
  void follow(Trajectory other) {
    inputs.forEach((name, tensor) -> tensor.copyFrom(other.input(name)));
  }

  private Tensor input(String name) {
    Tensor tensor = inputs.get(name);
    if (tensor == null) {
      throw new IllegalArgumentException("no input " + name);
    }
    return tensor;
  }

  /** The model's first output, as last evaluated. */
  Tensor output() {
    return outputs.values().iterator().next();
  }

  /** What the last evaluation took. */
  double milliseconds() {
    return milliseconds;
  }

  private static void fill(Tensor tensor, double value) {
    for (int i = 0; i < tensor.elementCount(); i++) {
      tensor.set(i, value);
    }
  }
}
