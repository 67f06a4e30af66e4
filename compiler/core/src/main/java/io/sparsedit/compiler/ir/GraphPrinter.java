package io.sparsedit.compiler.ir;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * Prints graphs for people: one line for each input, initializer and node.
 *
 * <pre>
 * graph main
 *   input %x : f32[1,n,64]
 *   init %axes : i64[1] = [-1]
 *   %y : f32[1,n,64] = Softmax(%x) {axis=-1} 'blocks.0/Softmax'
 *   output %y : f32[1,n,64]
 * </pre>
 */
public final class GraphPrinter {
  private static final int MAX_ELEMENTS = 8;

  private final StringBuilder out = new StringBuilder();

  private GraphPrinter() {}

  /** The model with its functions. */
  public static String print(Model model) {
    GraphPrinter printer = new GraphPrinter();
    printer.out.append("model ir ").append(model.irVersion()).append(" opset ");
    printer.out.append(opsets(model.opsets()));
    if (!model.producerName().isEmpty()) {
      printer.out.append(" by ").append(model.producerName()).append(' ');
      printer.out.append(model.producerVersion());
    }
    printer.out.append('\n');
    printer.graph(model.graph(), "");
    for (Function function : model.functions()) {
      printer.out.append("function ").append(function.domain()).append('.');
      printer.out.append(function.name());
      if (!function.overload().isEmpty()) {
        printer.out.append(':').append(function.overload());
      }
      printer.out.append(" opset ").append(opsets(function.opsets()));
      List<String> attributes = new ArrayList<>(function.attributeNames());
      function
          .attributeDefaults()
          .forEach((name, value) -> attributes.add(name + "=" + text(value)));
      if (!attributes.isEmpty()) {
        printer.out.append(" {").append(String.join(", ", attributes)).append('}');
      }
      printer.out.append('\n');
      printer.body(function.body(), "  ");
    }
    return printer.out.toString();
  }

  /** The graph with its subgraphs. */
  public static String print(Graph graph) {
    GraphPrinter printer = new GraphPrinter();
    printer.graph(graph, "");
    return printer.out.toString();
  }

  /** The node, its subgraphs on lines of their own. */
  public static String print(Node node) {
    GraphPrinter printer = new GraphPrinter();
    printer.node(node, "");
    return printer.out.toString().stripTrailing();
  }

  private void graph(Graph graph, String indent) {
    out.append(indent).append("graph ").append(graph.name()).append('\n');
    body(graph, indent + "  ");
  }

  private void body(Graph graph, String indent) {
    for (Value input : graph.inputs()) {
      line(indent, "input ", input);
    }
    for (Value initializer : graph.initializers()) {
      out.append(indent).append("init ").append(initializer).append(" : ");
      out.append(initializer.constant().map(GraphPrinter::text).orElse("?")).append('\n');
    }
    for (Value declared : graph.declaredValues()) {
      line(indent, "declared ", declared);
    }
    for (Node node : graph.nodes()) {
      node(node, indent);
    }
    for (Value output : graph.outputs()) {
      line(indent, "output ", output);
    }
  }

  private void line(String indent, String word, Value value) {
    out.append(indent).append(word).append(typed(value)).append('\n');
  }

  private void node(Node node, String indent) {
    out.append(indent);
    out.append(node.outputs().stream().map(GraphPrinter::typed).collect(Collectors.joining(", ")));
    out.append(" = ");
    if (!node.domain().isEmpty()) {
      out.append(node.domain()).append('.');
    }
    out.append(node.opType());
    if (!node.overload().isEmpty()) {
      out.append(':').append(node.overload());
    }
    out.append('(');
    out.append(
        node.inputs().stream()
            .map(input -> input.map(Value::toString).orElse("-"))
            .collect(Collectors.joining(", ")));
    out.append(')');
    String attributes =
        node.attributes().entrySet().stream()
            .map(entry -> entry.getKey() + "=" + text(entry.getValue()))
            .collect(Collectors.joining(", "));
    if (!attributes.isEmpty()) {
      out.append(" {").append(attributes).append('}');
    }
    if (!node.name().isEmpty()) {
      out.append(" '").append(node.name()).append('\'');
    }
    out.append('\n');
    for (Graph subgraph : node.subgraphs()) {
      graph(subgraph, indent + "  ");
    }
  }

  private static String typed(Value value) {
    if (value.name().isEmpty()) {
      return "-";
    }
    return value + value.type().map(type -> " : " + text(type)).orElse("");
  }

  private static String text(ValueType type) {
    if (!(type instanceof ValueType.TensorType tensor)) {
      return "?";
    }
    return tensor.elementType().shortName()
        + tensor
            .dims()
            .map(
                dims ->
                    dims.stream()
                        .map(GraphPrinter::text)
                        .collect(Collectors.joining(",", "[", "]")))
            .orElse("");
  }

  private static String text(ValueType.DeclaredDim dim) {
    if (dim instanceof ValueType.DeclaredDim.Fixed fixed) {
      return Long.toString(fixed.size());
    }
    return dim instanceof ValueType.DeclaredDim.Named named ? named.name() : "?";
  }

  private static String text(Tensor tensor) {
    String type = tensor.type().shortName() + Arrays.toString(tensor.dims()).replace(" ", "");
    if (tensor.storage() instanceof Tensor.Storage.External external) {
      return type + " in " + external.location() + " at " + external.offset();
    }
    if (tensor.elementCount() > MAX_ELEMENTS) {
      return type;
    }
    Optional<String> elements =
        tensor.longs().map(Arrays::toString).or(() -> tensor.doubles().map(Arrays::toString));
    return type + elements.map(text -> " = " + text).orElse("");
  }

  private static String text(Attribute attribute) {
    if (attribute instanceof Attribute.IntValue i) {
      return Long.toString(i.value());
    } else if (attribute instanceof Attribute.FloatValue f) {
      return Float.toString(f.value());
    } else if (attribute instanceof Attribute.StringValue s) {
      return '"' + s.value() + '"';
    } else if (attribute instanceof Attribute.IntList list) {
      return list.values().toString();
    } else if (attribute instanceof Attribute.FloatList list) {
      return list.values().toString();
    } else if (attribute instanceof Attribute.StringList list) {
      return list.values().toString();
    } else if (attribute instanceof Attribute.TensorValue tensor) {
      return text(tensor.value());
    } else if (attribute instanceof Attribute.GraphValue graph) {
      return "graph " + graph.value().name();
    } else if (attribute instanceof Attribute.GraphList list) {
      return list.values().size() + " graphs";
    } else if (attribute instanceof Attribute.Reference reference) {
      return "@" + reference.attribute();
    }
    return "?";
  }

  private static String opsets(Map<String, Long> opsets) {
    return opsets.entrySet().stream()
        .map(entry -> (entry.getKey().isEmpty() ? "" : entry.getKey() + " ") + entry.getValue())
        .collect(Collectors.joining(", "));
  }
}
