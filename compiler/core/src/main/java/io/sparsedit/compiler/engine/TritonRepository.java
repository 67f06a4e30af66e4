package io.sparsedit.compiler.engine;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.LargeFiles;
import io.sparsedit.compiler.SparsifyException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
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
 * The engine's inputs are those of the model and {@code action}, its outputs those of the model.
 * State of fixed shape stays in the server: each sequence of requests has its own (Triton's
 * implicit state). Where its shape varies, Triton could not give a sequence its first state, and
 * the client passes the state on: it is among the inputs and outputs. There is no batching: a batch
 * is a dimension like others.
 */
public final class TritonRepository {
  private static final String VARIABLE = "-1";

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

  /** A sequence that is idle for longer loses its state: ten minutes, several steps of a video. */
  private static final long IDLE_MICROSECONDS = 600_000_000;

  /** Sequences that have state at a time: two requests with two branches each. */
  private static final int SEQUENCES = 4;

  private TritonRepository() {}

  /**
   * Looks whether Triton can serve a bundle's model.
   *
   * @throws SparsifyException if a tensor has a type or a shape that Triton has not
   */
  public static void check(Path bundle) {
    config(name(bundle), EngineEntries.read(bundle).description(), "");
  }

  /**
   * Writes the repository; a model of that name there is replaced.
   *
   * @param repository its folder
   * @param bundle the bundle
   * @param engine the engine's file in it
   * @return the model's folder
   * @throws SparsifyException if a file cannot be written, or a tensor has a type or a shape that
   *     Triton has not
   */
  public static Path write(Path repository, Path bundle, String engine) {
    String name = name(bundle);
    String config = config(name, EngineEntries.read(bundle).description(), engine);
    Path model = repository.resolve(name);
    Path plan = model.resolve("1").resolve("model.plan");
    try {
      Files.createDirectories(plan.getParent() == null ? model : plan.getParent());
      Path temporary = AtomicFile.temporaryFor(plan);
      try {
        LargeFiles.linkOrCopy(bundle.resolve(engine), temporary);
        AtomicFile.moveIntoPlace(temporary, plan);
      } finally {
        AtomicFile.deleteQuietly(temporary);
      }
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE, plan + ": cannot be written: " + AtomicFile.reason(e), e);
    }
    AtomicFile.write(
        model.resolve("config.pbtxt"), out -> out.write(config.getBytes(StandardCharsets.UTF_8)));
    return model;
  }

  /**
   * How a server that is started on the repository gets the plugins, which are no part of an
   * engine: it opens a library that loads them into TensorRT's registry.
   *
   * @param plugins the plugin library that the engine was built with
   * @return lines to print
   */
  public static List<String> howToServe(Path repository, Path plugins) {
    Path loader = plugins.toAbsolutePath().normalize().resolveSibling("libsparsedit_load.so");
    List<String> lines = new ArrayList<>();
    lines.add("Triton must load the plugins first, with the engine's version of TensorRT:");
    lines.add(
        "  tritonserver --model-repository="
            + repository
            + " --backend-config=tensorrt,plugins="
            + loader);
    lines.add(
        "or with LD_PRELOAD=" + loader + "; it loads " + plugins.getFileName() + " beside it.");
    if (!Files.isRegularFile(loader)) {
      lines.add(
          "That library is not there yet: cmake --build build/cuda --target sparsedit_load makes"
              + " it.");
    }
    return lines;
  }

  /** The bundle's name with what Triton takes in a name. */
  private static String name(Path bundle) {
    Path last = bundle.toAbsolutePath().normalize().getFileName();
    String name = String.valueOf(last).replaceAll("[^A-Za-z0-9_-]", "_");
    return name.isEmpty() ? "model" : name;
  }

  /**
   * The model's configuration.
   *
   * @param engine the engine's file, whose profile fixes dimensions; none: only what the model
   *     fixes
   */
  static String config(String name, JsonNode bundle, String engine) {
    JsonNode shapes = shapes(bundle, engine);
    List<String> inputs = new ArrayList<>();
    List<String> outputs = new ArrayList<>();
    bundle.path("inputs").forEach(t -> inputs.add(tensor(t, "name", shapes)));
    JsonNode action = bundle.path("action");
    if (action.path("sites").asLong() > 0) {
      inputs.add(
          named(
              action.path("input").asText(),
              typed("i32", action.path("input").asText(), List.of(action.path("sites").asText()))));
    }
    bundle.path("outputs").forEach(t -> outputs.add(tensor(t, "name", shapes)));
    List<String> states = new ArrayList<>();
    boolean kept = true;
    for (JsonNode state : bundle.path("state")) {
      List<String> dims = dims(state, "input", shapes);
      kept &= !dims.contains(VARIABLE);
      states.add(
          String.format(
              Locale.ROOT,
              "    { input_name: \"%s\" output_name: \"%s\" %s }",
              state.path("input").asText(),
              state.path("output").asText(),
              typed(state.path("type").asText(), state.path("input").asText(), dims)));
    }
    if (!kept) {
      for (JsonNode state : bundle.path("state")) {
        inputs.add(tensor(state, "input", shapes));
        outputs.add(tensor(state, "output", shapes));
      }
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
        %sinstance_group [ { kind: KIND_GPU } ]
        """
        .formatted(
            name,
            String.join(",\n", inputs),
            String.join(",\n", outputs),
            kept && !states.isEmpty() ? sequences(states) : "");
  }

  /** Sequences whose state the server keeps. */
  private static String sequences(List<String> states) {
    return """
        sequence_batching {
          max_sequence_idle_microseconds: %d
          oldest { max_candidate_sequences: %d }
          state [
        %s
          ]
        }
        """
        .formatted(IDLE_MICROSECONDS, SEQUENCES, String.join(",\n", states));
  }

  /** The shapes that an engine was built for, by input. */
  private static JsonNode shapes(JsonNode bundle, String engine) {
    for (JsonNode entry : bundle.path("engines")) {
      if (entry.path("file").asText().equals(engine)) {
        return entry.path("shapes");
      }
    }
    return MissingNode.getInstance();
  }

  private static String tensor(JsonNode tensor, String key, JsonNode shapes) {
    return named(
        tensor.path(key).asText(),
        typed(tensor.path("type").asText(), tensor.path(key).asText(), dims(tensor, key, shapes)));
  }

  /** The dimensions; a variable one that the engine takes in one size only has that size. */
  private static List<String> dims(JsonNode tensor, String key, JsonNode shapes) {
    JsonNode range = shapes.path(tensor.path(key).asText());
    List<String> dims = new ArrayList<>();
    for (JsonNode dim : tensor.path("dims")) {
      JsonNode low = range.path("min").path(dims.size());
      boolean one = low.isNumber() && low.equals(range.path("max").path(dims.size()));
      dims.add(dim.isNumber() ? dim.asText() : one ? low.asText() : VARIABLE);
    }
    return dims;
  }

  private static String named(String name, String text) {
    return String.format(Locale.ROOT, "  { name: \"%s\" %s }", name, text);
  }

  private static String typed(String type, String name, List<String> dims) {
    String triton = TYPES.get(type);
    if (triton == null) {
      throw SparsifyException.failure(name + " is " + type + ", which Triton does not serve.");
    }
    if (dims.isEmpty()) {
      throw SparsifyException.failure(
          name
              + " has no dimensions, which Triton does not serve without batching. Export the model"
              + " with a tensor of one element there.");
    }
    return String.format(
        Locale.ROOT, "data_type: %s dims: [ %s ]", triton, String.join(", ", dims));
  }
}
