package io.sparsedit.cli.quality;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.sampling.Condition;
import io.sparsedit.runtime.sampling.Roles;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;

/**
 * How the model is sampled, the same for all candidates.
 *
 * @param model the exported model
 * @param steps denoising steps
 * @param denseWarmup fraction of the steps that runs dense first
 * @param shift of the noise levels
 * @param names which inputs and outputs the sampler moves, where they are not found by themselves
 * @param inputs folder of further inputs, {@code NAME.pb}
 * @param sizes sizes of symbolic dimensions
 * @param threads threads of ONNX Runtime
 * @param engine whether TensorRT engines run instead of ONNX Runtime
 * @param samples what is sampled
 */
public record Setup(
    Path model,
    int steps,
    double denseWarmup,
    double shift,
    Names names,
    Optional<Path> inputs,
    Map<String, Long> sizes,
    OptionalInt threads,
    boolean engine,
    List<Sample> samples) {
  /** Keeps its own copies. */
  public Setup {
    sizes = Map.copyOf(sizes);
    samples = List.copyOf(samples);
  }

  /**
   * Names of inputs and outputs.
   *
   * @param latents the input that is denoised
   * @param timestep the input that takes the noise level
   * @param velocity the output by which the latents move
   * @param condition the input that takes conditions
   * @param timestepScale what the timestep input is at noise level 1
   */
  public record Names(
      Optional<String> latents,
      Optional<String> timestep,
      Optional<String> velocity,
      String condition,
      double timestepScale) {
    Roles roles(Bundle bundle) {
      Roles roles = Roles.of(bundle).withTimestepScale(timestepScale);
      if (velocity.isPresent()) {
        roles = roles.withVelocity(bundle, velocity.get());
      }
      if (latents.isPresent()) {
        roles = roles.withLatents(bundle, latents.get());
      }
      return timestep.isPresent() ? roles.withTimestep(bundle, timestep.get()) : roles;
    }
  }

  /**
   * One sample.
   *
   * @param seed seed of the noise
   * @param condition what it shows, or noise as condition
   */
  public record Sample(long seed, Optional<Condition> condition) {
    String label() {
      return "seed " + seed + condition.map(c -> ", " + c.name()).orElse("");
    }
  }

  /** What results depend on, the candidates apart. */
  ObjectNode describe(String sha256) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("model", String.valueOf(model.getFileName()));
    node.put("sha256", sha256);
    node.put("steps", steps);
    node.put("denseWarmup", denseWarmup);
    node.put("shift", shift);
    node.put("sampler", "Euler steps of a flow, noise levels from 1 to 0");
    node.put("timestepScale", names.timestepScale());
    if (engine) {
      node.put("backend", "TensorRT");
    }
    inputs.ifPresent(folder -> node.put("inputs", folder.toString()));
    ArrayNode labels = node.putArray("samples");
    samples.forEach(sample -> labels.add(sample.label()));
    ObjectNode dims = node.putObject("dims");
    new TreeMap<>(sizes).forEach(dims::put);
    return node;
  }
}
