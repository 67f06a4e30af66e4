package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * Makes calls of SparseDiT's functions calls of the plugins of the same names.
 *
 * <pre>
 *   before   sparsedit.Svg2Plan:bhsd(...)        function sparsedit.Svg2Plan:bhsd { ... }
 *   after    sparsedit.Svg2Plan(..., plugin_namespace = "sparsedit", plugin_version = "1")
 * </pre>
 *
 * TensorRT's parser takes a model-local function before a plugin of the same name; without the
 * function it takes the plugin. Which operators there are does not matter here.
 */
final class CallPlugins {
  /** Domain of the operators, and namespace of the plugins. */
  static final String DOMAIN = "sparsedit";

  private static final String NAMESPACE = "plugin_namespace";
  private static final String VERSION = "plugin_version";

  private CallPlugins() {}

  /**
   * Changes the model.
   *
   * @param plugins the operators that the plugin library has
   * @param version the version of its plugins
   * @param library what messages call it
   * @throws SparsifyException if an operator has no plugin, or one of another version
   */
  static void in(Model model, List<String> plugins, int version, String library) {
    Set<String> missing = new TreeSet<>();
    for (Node node : calls(model.graph())) {
      if (!plugins.contains(node.opType())) {
        missing.add(node.opType());
        continue;
      }
      String wanted = node.stringAttribute(VERSION, Integer.toString(version));
      if (!wanted.equals(Integer.toString(version))) {
        throw SparsifyException.failure(
            node
                + " wants version "
                + wanted
                + " of its plugin, "
                + library
                + " has version "
                + version
                + ". Compile the model again, or build the library again.");
      }
      node.setOverload("");
      node.setAttribute(NAMESPACE, DOMAIN);
      node.setAttribute(VERSION, wanted);
    }
    if (!missing.isEmpty()) {
      throw SparsifyException.failure(
          "there is no TensorRT plugin for "
              + String.join(", ", missing)
              + " yet ("
              + library
              + " has "
              + String.join(", ", plugins)
              + "): such a model runs in ONNX Runtime only. Compile it with a method that has"
              + " plugins, such as --method svg2.");
    }
    model.functions().removeIf(function -> function.domain().equals(DOMAIN));
  }

  /** The calls of SparseDiT's operators in a graph and its subgraphs. */
  static List<Node> calls(Graph graph) {
    List<Node> calls = new ArrayList<>();
    for (Node node : graph.nodes()) {
      if (node.domain().equals(DOMAIN)) {
        calls.add(node);
      }
      node.subgraphs().forEach(subgraph -> calls.addAll(calls(subgraph)));
    }
    return calls;
  }
}
