package io.sparsedit.runtime.sampling;

import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.TensorType;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Which input and output of a model a sampler moves.
 *
 * @param latents the input that is denoised; empty where the model has none of its output's shape
 * @param timesteps the inputs that take the noise level
 * @param velocity the output by which the latents move
 * @param timestepScale what the timestep inputs are at noise level 1; 1000 in Diffusers' models
 */
public record Roles(
    Optional<String> latents, List<String> timesteps, String velocity, double timestepScale) {
  private static final double DIFFUSERS_SCALE = 1000;

  /** Keeps its own copy of the list. */
  public Roles {
    timesteps = List.copyOf(timesteps);
  }

  /**
   * The roles as names and shapes tell them: the velocity is the first output, the latents are the
   * first floating-point input of its shape, timesteps are the inputs with {@code timestep} in
   * their name.
   *
   * @throws IllegalArgumentException if the model has no output
   */
  public static Roles of(Bundle bundle) {
    String velocity =
        bundle.outputs().keySet().stream()
            .findFirst()
            .orElseThrow(() -> new IllegalArgumentException("the model has no output"));
    return new Roles(
        shapedAs(bundle, velocity),
        bundle.inputs().keySet().stream().filter(Roles::isTimestep).toList(),
        velocity,
        DIFFUSERS_SCALE);
  }

  private static Optional<String> shapedAs(Bundle bundle, String output) {
    List<?> dims = type(bundle.outputs(), output).dims();
    return bundle.inputs().entrySet().stream()
        .filter(input -> input.getValue().element().isFloating())
        .filter(input -> input.getValue().dims().equals(dims))
        .map(Map.Entry::getKey)
        .findFirst();
  }

  private static TensorType type(Map<String, TensorType> types, String name) {
    TensorType type = types.get(name);
    if (type == null) {
      throw new IllegalArgumentException("the model has no " + name + ", only " + types.keySet());
    }
    return type;
  }

  static boolean isTimestep(String input) {
    return input.toLowerCase(Locale.ROOT).contains("timestep");
  }

  /**
   * The same with another input as latents.
   *
   * @throws IllegalArgumentException if the model has no such floating-point input
   */
  public Roles withLatents(Bundle bundle, String input) {
    if (!type(bundle.inputs(), input).element().isFloating()) {
      throw new IllegalArgumentException(
          "latents must be of a floating type, " + input + " is " + type(bundle.inputs(), input));
    }
    return new Roles(Optional.of(input), timesteps, velocity, timestepScale);
  }

  /**
   * The same with another input as timestep.
   *
   * @throws IllegalArgumentException if the model has no such input
   */
  public Roles withTimestep(Bundle bundle, String input) {
    type(bundle.inputs(), input);
    return new Roles(latents, List.of(input), velocity, timestepScale);
  }

  /**
   * The same with another output as velocity, and the input of its shape as latents.
   *
   * @throws IllegalArgumentException if the model has no such output
   */
  public Roles withVelocity(Bundle bundle, String output) {
    return new Roles(shapedAs(bundle, output), timesteps, output, timestepScale);
  }

  /** The same with timesteps of another range: 1 where the model takes the noise level itself. */
  public Roles withTimestepScale(double scale) {
    return new Roles(latents, timesteps, velocity, scale);
  }
}
