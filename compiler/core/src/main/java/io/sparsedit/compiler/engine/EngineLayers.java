package io.sparsedit.compiler.engine;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * What TensorRT made of the graph around our plugins: layers that only move data between another
 * layer and a plugin, from its description of an engine's layers.
 */
final class EngineLayers {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String PLUGIN = "PluginV3";
  private static final String NAME = "Name";
  private static final String TYPE = "LayerType";
  private static final String COPY_NODE = "Reformatting CopyNode";

  /**
   * A generated kernel all of whose operations move data: Cast, Move, Reshape, Replicate, Slice,
   * Concat, Transpose, by the first three letters that TensorRT names it after.
   */
  private static final Pattern MOVES =
      Pattern.compile("__myl_((?:Cas|Mov|Res|Rep|Sli|Con|Tra)+)_myl\\d+_\\d+.*");

  /**
   * A layer that only moves data.
   *
   * @param layer its name
   * @param plugin the plugin's node that it stands before or behind
   * @param before whether it stands before
   * @param tensor what it moves: the plugin's input or output
   * @param bytes size of that, 0 where it varies
   */
  record Copy(String layer, String plugin, boolean before, String tensor, long bytes) {}

  private EngineLayers() {}

  /**
   * The copies beside plugins, in the engine's order; those of shape and size 1 do not count.
   *
   * @param description the engine's layers as TensorRT describes them in detail
   */
  static List<Copy> copies(String description) {
    JsonNode layers;
    try {
      layers = JSON.readTree(description).path("Layers");
    } catch (JsonProcessingException e) {
      return List.of(); // Descriptions are there for people first; a new form is no failure.
    }
    Map<String, JsonNode> producers = new HashMap<>();
    for (JsonNode layer : layers) {
      layer.path("Outputs").forEach(output -> producers.put(output.path(NAME).asText(), layer));
    }
    List<Copy> copies = new ArrayList<>();
    for (JsonNode plugin : layers) {
      if (!plugin.path(TYPE).asText().equals(PLUGIN)) {
        continue;
      }
      for (JsonNode input : plugin.path("Inputs")) {
        Optional.ofNullable(producers.get(input.path(NAME).asText()))
            .filter(EngineLayers::onlyMoves)
            .ifPresent(layer -> copies.add(copy(layer, plugin, true, input)));
      }
      for (JsonNode output : plugin.path("Outputs")) {
        for (JsonNode layer : layers) {
          if (onlyMoves(layer) && reads(layer, output)) {
            copies.add(copy(layer, plugin, false, output));
          }
        }
      }
    }
    return copies.stream().distinct().toList();
  }

  private static Copy copy(JsonNode layer, JsonNode plugin, boolean before, JsonNode tensor) {
    return new Copy(
        layer.path(NAME).asText(),
        plugin.path(NAME).asText(),
        before,
        tensor.path(NAME).asText(),
        bytes(tensor));
  }

  private static boolean reads(JsonNode layer, JsonNode tensor) {
    for (JsonNode input : layer.path("Inputs")) {
      if (input.path(NAME).equals(tensor.path(NAME))) {
        return true;
      }
    }
    return false;
  }

  private static boolean onlyMoves(JsonNode layer) {
    String name = layer.path(NAME).asText();
    String type = layer.path(TYPE).asText();
    if (type.equals("NoOp") || type.equals(PLUGIN)) {
      return false;
    }
    return name.startsWith(COPY_NODE) || type.equals("Reformat") || MOVES.matcher(name).matches();
  }

  private static long bytes(JsonNode tensor) {
    long elements = 1;
    for (JsonNode dim : tensor.path("Dimensions")) {
      if (dim.asLong() < 0) {
        return 0;
      }
      elements *= dim.asLong();
    }
    String format = tensor.path("Format/Datatype").asText();
    int size =
        format.contains("Half") || format.contains("FP16") || format.contains("BF")
            ? 2
            : format.contains("Int64") ? 8 : format.contains("Bool") ? 1 : 4;
    return elements * size;
  }
}
