package io.sparsedit.runtime.sampling;

import io.sparsedit.runtime.Session;
import io.sparsedit.runtime.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * A denoising run by Euler steps of a flow: after each step the latents move by the model's
 * velocity times the change of sigma.
 */
public final class Trajectory {
  private final Session session;
  private final double[] sigmas;
  private final Roles roles;
  private final Map<String, Tensor> inputs = new LinkedHashMap<>();
  private final Map<String, Tensor> outputs;
  private double milliseconds;

  /**
   * A run from these inputs; they are copied.
   *
   * @param sigmas the noise levels, one more than the session has steps; see {@link Sigmas}
   * @param roles which of the inputs and outputs the steps move
   * @param start all inputs of the model
   */
  public Trajectory(Session session, double[] sigmas, Roles roles, Map<String, Tensor> start) {
    this.session = session;
    this.sigmas = sigmas.clone();
    this.roles = roles;
    start.forEach((name, tensor) -> inputs.put(name, tensor.copy()));
    this.outputs = session.newOutputs(inputs);
  }

  /** Evaluates the model on the current latents; the time this takes is kept. */
  public void evaluate(int step) {
    for (String timestep : roles.timesteps()) {
      fill(named(inputs, timestep), roles.timestepScale() * sigmas[step]);
    }
    long start = System.nanoTime();
    session.run(step, 0, inputs, outputs);
    milliseconds = (System.nanoTime() - start) / 1e6;
  }

  /** Moves the latents by the evaluation of this step. */
  public void advance(int step) {
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

  /** The latents as they are now. */
  public Optional<Tensor> latents() {
    return roles.latents().map(name -> named(inputs, name));
  }

  /** Takes over the latents and other inputs of another run. */
  public void follow(Trajectory other) {
    inputs.forEach((name, tensor) -> tensor.copyFrom(named(other.inputs, name)));
  }

  /** The model's velocity, as last evaluated. */
  public Tensor output() {
    return named(outputs, roles.velocity());
  }

  /**
   * An output, as last evaluated.
   *
   * @throws IllegalArgumentException if the model has none of that name
   */
  public Tensor output(String name) {
    return named(outputs, name);
  }

  /** What the last evaluation took. */
  public double milliseconds() {
    return milliseconds;
  }

  private static Tensor named(Map<String, Tensor> tensors, String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new IllegalArgumentException("no tensor " + name + " among " + tensors.keySet());
    }
    return tensor;
  }

  private static void fill(Tensor tensor, double value) {
    for (int i = 0; i < tensor.elementCount(); i++) {
      tensor.set(i, value);
    }
  }
}
