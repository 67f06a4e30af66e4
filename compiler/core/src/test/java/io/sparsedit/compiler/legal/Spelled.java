package io.sparsedit.compiler.legal;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.ModelCopy;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.ort.OrtRunner;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;

/** A small graph that a test spells out, and the check that legalisation keeps what it computes. */
final class Spelled {
  final Graph graph = Graph.create("spelled");
  final Model model = new Model(graph, 10);

  private final Map<String, Tensor> inputs = new LinkedHashMap<>();
  private final Random random = new Random(3);

  Spelled(long opset) {
    model.opsets().put("", opset);
    model.opsets().put(Microsoft.DOMAIN, 1L);
  }

  /** An input of normal numbers. */
  Value floats(String name, long... dims) {
    return input(name, numbers(dims));
  }

  /** A constant of normal numbers. */
  Value weights(String name, long... dims) {
    return graph.addConstant(name, numbers(dims));
  }

  private Tensor numbers(long... dims) {
    float[] elements = new float[(int) Tensor.elementCount(dims)];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = (float) random.nextGaussian();
    }
    return Tensor.ofFloats(dims, elements);
  }

  /** An input with what it is given. */
  Value input(String name, Tensor tensor) {
    inputs.put(name, tensor);
    return graph.addInput(name, ValueType.TensorType.of(tensor.type(), tensor.dims()));
  }

  /** An input whose dimensions the graph does not fix. */
  Value dynamic(String name, long... dims) {
    Tensor tensor = numbers(dims);
    inputs.put(name, tensor);
    List<DeclaredDim> named = new ArrayList<>();
    for (int i = 0; i < dims.length; i++) {
      named.add(new DeclaredDim.Named(name + i));
    }
    return graph.addInput(name, new ValueType.TensorType(DataType.FLOAT, Optional.of(named)));
  }

  Value bools(String name, long[] dims, int... elements) {
    byte[] bytes = new byte[elements.length];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) elements[i];
    }
    return input(name, Tensor.raw(DataType.BOOL, dims, java.nio.ByteBuffer.wrap(bytes)));
  }

  /** A node with one output; empty stands for an absent one. */
  Value node(String type, List<Optional<Value>> in, Object... attributes) {
    int dot = type.lastIndexOf('.');
    Node node =
        graph.addNode(
            dot < 0 ? "" : type.substring(0, dot), type.substring(dot + 1), name(type), List.of());
    for (int i = 0; i < in.size(); i++) {
      if (in.get(i).isPresent()) {
        node.setInput(i, in.get(i).get());
      } else {
        node.clearInput(i);
      }
    }
    for (int i = 0; i < attributes.length; i += 2) {
      String name = (String) attributes[i];
      Object value = attributes[i + 1];
      if (value instanceof Number number && !(value instanceof Float)) {
        node.setAttribute(name, number.longValue());
      } else if (value instanceof Float number) {
        node.setAttribute(name, number);
      } else if (value instanceof String text) {
        node.setAttribute(name, text);
      } else {
        node.setAttribute(
            name, new Attribute.IntList(Arrays.stream((long[]) value).boxed().toList()));
      }
    }
    return node.addOutput(graph.freshName(node.opType().toLowerCase(java.util.Locale.ROOT)));
  }

  /** The operator, and a number where there is one of it already. */
  private String name(String type) {
    long before = graph.nodeList().stream().filter(n -> n.name().startsWith(type)).count();
    return before == 0 ? type : type + before;
  }

  Value node(String type, Value... in) {
    return node(type, Arrays.stream(in).map(Optional::of).toList());
  }

  /** Makes a value an output. */
  Spelled output(Value value, DataType type) {
    value.setType(new ValueType.TensorType(type, Optional.empty()));
    graph.addOutput(value);
    return this;
  }

  Spelled output(Value value) {
    return output(value, DataType.FLOAT);
  }

  /**
   * Legalises a copy, checks that the operators are gone, and that ONNX Runtime computes the same.
   *
   * @return the copy
   */
  Model check(double tolerance, String... gone) {
    Map<String, Tensor> before = OrtRunner.run(model, inputs);
    Model legal = legalised();
    assertThat(GraphVerifier.problems(legal)).isEmpty();
    assertThat(legal.graph().nodes())
        .noneMatch(node -> Arrays.asList(gone).contains(node.opType()))
        .noneMatch(node -> node.domain().equals(Microsoft.DOMAIN));
    assertThat(legal.opset()).isLessThanOrEqualTo(LowerOperatorSet.NEWEST);
    Map<String, Tensor> after = OrtRunner.run(legal, inputs);
    assertThat(after.keySet()).isEqualTo(before.keySet());
    before.forEach(
        (name, wanted) -> {
          Tensor found = Optional.ofNullable(after.get(name)).orElseThrow();
          assertThat(found.type()).isEqualTo(wanted.type());
          assertThat(found.dims()).isEqualTo(wanted.dims());
          double[] a = found.doubles().orElseThrow();
          double[] b = wanted.doubles().orElseThrow();
          for (int i = 0; i < b.length; i++) {
            assertThat(a[i])
                .as("%s[%d]", name, i)
                .isCloseTo(b[i], org.assertj.core.data.Offset.offset(tolerance));
          }
        });
    return legal;
  }

  /** What ONNX Runtime makes of the graph. */
  Map<String, Tensor> run() {
    return OrtRunner.run(model, inputs);
  }

  /** What ONNX Runtime makes of a changed copy. */
  Map<String, Tensor> run(Model copy) {
    assertThat(GraphVerifier.problems(copy)).isEmpty();
    return OrtRunner.run(copy, inputs);
  }

  /** What ONNX Runtime makes of a legalised copy. */
  Map<String, Tensor> runLegalised() {
    return OrtRunner.run(legalised(), inputs);
  }

  /** A legalised copy. */
  Model legalised() {
    Model legal = ModelCopy.of(model);
    Legalisation.apply(legal);
    return legal;
  }
}
