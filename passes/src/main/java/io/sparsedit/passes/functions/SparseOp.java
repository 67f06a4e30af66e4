package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * One call of an operator of the {@code sparsedit} domain: its signature, its attributes, and the
 * function that defines it.
 *
 * <p>Two calls with the same {@link #opType()} and {@link #overload()} share one function.
 */
public interface SparseOp {
  /** The operator's name. */
  String opType();

  /** Which variant of the function is called. */
  String overload();

  /** Names of the inputs, in order. */
  List<String> inputs();

  /** Names of the outputs, in order. */
  List<String> outputs();

  /** Attributes of the call. */
  Map<String, Attribute> attributes();

  /**
   * The function that the call needs in its model.
   *
   * @param opset the model's version of the default domain, at least {@link SparseOps#MIN_OPSET}
   */
  Function function(long opset);

  /**
   * Inserts the call.
   *
   * @param position the node before which it is inserted
   * @param nodeName the new node's name
   * @param values the value of each of {@link #inputs()}
   * @param outputNames the name of each output's value; a fresh one is made where it is missing
   * @return the node, with outputs in the order of {@link #outputs()}
   */
  default Node insertBefore(
      Node position, String nodeName, Map<String, Value> values, Map<String, String> outputNames) {
    if (!values.keySet().equals(Set.copyOf(inputs()))
        || !outputs().containsAll(outputNames.keySet())) {
      throw new IllegalArgumentException(
          opType()
              + " takes "
              + inputs()
              + " and gives "
              + outputs()
              + ", not "
              + values.keySet()
              + " and "
              + outputNames.keySet());
    }
    Graph graph = position.graph();
    List<Value> ordered = new ArrayList<>();
    inputs().forEach(input -> ordered.add(Ops.lookup(values, input)));
    Node node = graph.insertBefore(position, SparseOps.DOMAIN, opType(), nodeName, ordered);
    node.setOverload(overload());
    attributes().forEach(node::setAttribute);
    for (String output : outputs()) {
      String wanted = outputNames.getOrDefault(output, "");
      node.addOutput(wanted.isEmpty() ? graph.freshName(nodeName + "." + output) : wanted);
    }
    return node;
  }

  /** The attributes that every operator has. */
  static Map<String, Attribute> commonAttributes(int site, Layout layout, float scale) {
    Map<String, Attribute> attributes = new LinkedHashMap<>();
    attributes.put(SparseOps.SITE, new Attribute.IntValue(site));
    attributes.put(SparseOps.LAYOUT, new Attribute.StringValue(layout.name()));
    attributes.put(SparseOps.SCALE, new Attribute.FloatValue(scale));
    attributes.put(
        SparseOps.PLUGIN_NAMESPACE, new Attribute.StringValue(SparseOps.PLUGIN_NAMESPACE_VALUE));
    attributes.put(
        SparseOps.PLUGIN_VERSION, new Attribute.StringValue(SparseOps.PLUGIN_VERSION_VALUE));
    return attributes;
  }
}
