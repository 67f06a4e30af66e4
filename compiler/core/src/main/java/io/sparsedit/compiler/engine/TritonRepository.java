package io.sparsedit.compiler.engine;

import com.fasterxml.jackson.databind.JsonNode;
import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * A model repository of Triton Inference Server with a bundle's engine.
 *
 * <pre>
 *   REPOSITORY/NAME/config.pbtxt
 *   REPOSITORY/NAME/1/model.plan
 * </pre>
 *
 * The engine's inputs and outputs are those of the model, {@code action} and the state, which the
 * client passes on from step to step. There is no batching: a batch is a dimension like others.
 */
public final class TritonRepository {
  private static final Map<String, String> TYPES =
      Map.of(
          "f32", "TYPE_FP32",
          "f16", "TYPE_FP16",
          "bf16", "TYPE_BF16",
          "i64", "TYPE_INT64",
          "i32", "TYPE_INT32",
          "i8", "TYPE_INT8",
          "u8", "TYPE_UINT8",
          "bool", "TYPE_BOOL");

  private TritonRepository() {}

  /**
   * Writes the repository; a model of that name there is replaced.
   *
   * @param repository its folder
   * @param bundle the bundle
   * @param engine the engine's file in it
   * @return the model's folder
   * @throws SparsifyException if a file cannot be written, or a tensor has a type that Triton has
   *     not
   */
  public static Path write(Path repository, Path bundle, String engine) {
    String name = name(bundle);
    String config = config(name, EngineEntries.read(bundle).description());
    Path model = repository.resolve(name);
    Path plan = model.resolve("1").resolve("model.plan");
    try {
      Files.createDirectories(plan.getParent() == null ? model : plan.getParent());
      Path temporary = AtomicFile.temporaryFor(plan);
      link(bundle.resolve(engine), temporary);
      AtomicFile.moveIntoPlace(temporary, plan);
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE, plan + ": cannot be written: " + AtomicFile.reason(e), e);
    }
    AtomicFile.write(
        model.resolve("config.pbtxt"), out -> out.write(config.getBytes(StandardCharsets.UTF_8)));
    return model;
  }

  /** A hard link where that is possible: engines are large. */
  private static void link(Path from, Path to) throws IOException {
    try {
      Files.createLink(to, from.toAbsolutePath());
    } catch (FileAlreadyExistsException e) {
      throw e;
    } catch (IOException | UnsupportedOperationException e) {
      Files.copy(from, to);
    }
  }

  /** The bundle's name with what Triton takes in a name. */
  private static String name(Path bundle) {
    Path last = bundle.toAbsolutePath().normalize().getFileName();
    String name = String.valueOf(last).replaceAll("[^A-Za-z0-9_-]", "_");
    return name.isEmpty() ? "model" : name;
  }

  /** The model's configuration. */
  static String config(String name, JsonNode bundle) {
    List<String> inputs = new ArrayList<>();
    List<String> outputs = new ArrayList<>();
    bundle.path("inputs").forEach(t -> inputs.add(tensor(t, "name")));
    JsonNode action = bundle.path("action");
    inputs.add(
        text(
            action.path("input").asText(),
            "i32",
            "dims: [ " + action.path("sites").asLong() + " ]"));
    bundle.path("outputs").forEach(t -> outputs.add(tensor(t, "name")));
    for (JsonNode state : bundle.path("state")) {
      inputs.add(tensor(state, "input"));
      outputs.add(tensor(state, "output"));
    }
    return """
        name: "%s"
        platform: "tensorrt_plan"
        max_batch_size: 0
        input [
        %s
        ]
        output [
        %s
        ]
        instance_group [ { kind: KIND_GPU } ]
        """
        .formatted(name, String.join(",\n", inputs), String.join(",\n", outputs));
  }

  private static String tensor(JsonNode tensor, String key) {
    List<String> dims = new ArrayList<>();
    tensor.path("dims").forEach(dim -> dims.add(dim.isNumber() ? dim.asText() : "-1"));
    // Triton has no tensors without dimensions: one element stands for them.
    String shape =
        dims.isEmpty()
            ? "dims: [ 1 ] reshape: { shape: [ ] }"
            : "dims: [ " + String.join(", ", dims) + " ]";
    return text(tensor.path(key).asText(), tensor.path("type").asText(), shape);
  }

  private static String text(String name, String type, String shape) {
    String triton = TYPES.get(type);
    if (triton == null) {
      throw SparsifyException.failure(name + " is " + type + ", which Triton does not serve.");
    }
    return String.format(Locale.ROOT, "  { name: \"%s\" data_type: %s %s }", name, triton, shape);
  }
}
