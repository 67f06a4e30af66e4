package io.sparsedit.runtime;

import java.util.List;

/**
 * What a layer of the engine took in one step.
 *
 * @param layer the engine's name for it
 * @param nodes the ONNX nodes that became the layer; empty if the engine does not tell
 * @param milliseconds its time
 */
public record LayerTime(String layer, List<String> nodes, double milliseconds) {
  public LayerTime {
    nodes = List.copyOf(nodes);
  }
}
