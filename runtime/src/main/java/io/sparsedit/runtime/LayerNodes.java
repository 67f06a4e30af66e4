package io.sparsedit.runtime;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The ONNX nodes of a TensorRT engine's layers, from its inspector's JSON.
 *
 * <p>An engine built in detail describes each layer by an object with {@code Name} and {@code
 * Metadata}, {@code [ONNX Layer: a]\x1f[ONNX Layer: b]}; any other has names alone.
 */
final class LayerNodes {
  private static final Pattern NODE = Pattern.compile("\\[ONNX Layer: ([^\\]]*)\\]");

  private final Map<String, List<String>> byLayer;

  private LayerNodes(Map<String, List<String>> byLayer) {
    this.byLayer = byLayer;
  }

  /** Reads the inspector's description; what it does not tell is left out. */
  static LayerNodes read(String description) {
    Map<String, List<String>> byLayer = new HashMap<>();
    try {
      for (Json layer : Json.parse(description).get("Layers").elements()) {
        if (!layer.isString()) {
          String metadata = layer.find("Metadata").map(Json::string).orElse("");
          byLayer.put(layer.get("Name").string(), nodes(metadata));
        }
      }
    } catch (IOException | Json.Mismatch e) {
      // Another version's form: the layers' own names are left.
      byLayer.clear();
    }
    return new LayerNodes(byLayer);
  }

  private static List<String> nodes(String metadata) {
    List<String> nodes = new ArrayList<>();
    Matcher matcher = NODE.matcher(metadata);
    while (matcher.find()) {
      nodes.add(matcher.group(1));
    }
    return nodes;
  }

  /**
   * The layers of a step.
   *
   * @param lines a layer each: milliseconds, a tab, the name
   */
  List<LayerTime> times(List<String> lines) {
    return lines.stream()
        .map(line -> line.split("\t", 2))
        .map(
            parts ->
                new LayerTime(
                    parts[1],
                    byLayer.getOrDefault(parts[1], List.of()),
                    Double.parseDouble(parts[0])))
        .toList();
  }
}
