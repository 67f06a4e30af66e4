package io.sparsedit.compiler.engine;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.tensorrt.EngineBuilder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What TensorRT is to build, told by one process to another as a line of JSON.
 *
 * @param plugins the plugin library
 * @param location the file that the model stands for: external data is relative to it
 * @param modelBytes size of the model, which follows
 * @param engine the file that gets the engine
 * @param shapes the shapes of inputs with dynamic dimensions
 * @param tf32 whether f32 matrix products may round their inputs to TF32
 * @param level TensorRT's optimisation level from 0 to 5, or -1 for its default
 * @param auxiliaryStreams streams beside the main one that TensorRT may use, or -1 for its default
 * @param timingCache the file that keeps timings from build to build; empty: none is kept
 */
record EngineJob(
    Path plugins,
    Path location,
    int modelBytes,
    Path engine,
    Map<String, EngineBuilder.Shapes> shapes,
    boolean tf32,
    int level,
    int auxiliaryStreams,
    Optional<Path> timingCache) {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** As one line. */
  String toLine() {
    ObjectNode node =
        JSON.createObjectNode()
            .put("plugins", plugins.toString())
            .put("location", location.toString())
            .put("modelBytes", modelBytes)
            .put("engine", engine.toString())
            .put("tf32", tf32)
            .put("level", level)
            .put("auxiliaryStreams", auxiliaryStreams);
    timingCache.ifPresent(file -> node.put("timingCache", file.toString()));
    ObjectNode ranges = node.putObject("shapes");
    shapes.forEach(
        (input, range) -> {
          ArrayNode three = ranges.putArray(input);
          for (List<Long> dims : List.of(range.smallest(), range.usual(), range.largest())) {
            ArrayNode array = three.addArray();
            dims.forEach(array::add);
          }
        });
    return node.toString();
  }

  /** What {@link #toLine} gave. */
  static EngineJob parse(String line) throws IOException {
    JsonNode node = JSON.readTree(line);
    Map<String, EngineBuilder.Shapes> shapes = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> input : node.path("shapes").properties()) {
      JsonNode three = input.getValue();
      shapes.put(
          input.getKey(),
          new EngineBuilder.Shapes(dims(three.path(0)), dims(three.path(1)), dims(three.path(2))));
    }
    return new EngineJob(
        Path.of(node.path("plugins").asText()),
        Path.of(node.path("location").asText()),
        node.path("modelBytes").asInt(),
        Path.of(node.path("engine").asText()),
        shapes,
        node.path("tf32").asBoolean(),
        node.path("level").asInt(),
        node.path("auxiliaryStreams").asInt(),
        Optional.of(node.path("timingCache").asText()).filter(t -> !t.isEmpty()).map(Path::of));
  }

  private static List<Long> dims(JsonNode array) {
    List<Long> dims = new ArrayList<>();
    array.forEach(dim -> dims.add(dim.asLong()));
    return dims;
  }
}
