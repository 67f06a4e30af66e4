package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;

/** A model whose input is tokens: only a reshape of tokens tells how they make a video. */
final class FindGeometryTest {
  /** As many as a head has channels. */
  private static final long TOKENS = 8;

  private static final long HEADS = 2;
  private static final long HEAD_DIM = 8;
  private static final long WIDTH = HEADS * HEAD_DIM;

  @Test
  void channelsThatAreAsManyAsTokensTellNothing() {
    assertThat(geometry((graph, out) -> out)).isEmpty();
  }

  @Test
  void tokensThatBecomeRowsAndColumnsTell() {
    Optional<VideoGeometry> found = geometry((graph, out) -> reshape(graph, out, 1, 4, 2, WIDTH));

    assertThat(found.map(Object::toString)).hasValue("1x4x2");
  }

  private static Optional<VideoGeometry> geometry(BiFunction<Graph, Value, Value> tail) {
    Graph graph = Graph.create("tokens");
    Value tokens =
        graph.addInput("tokens", ValueType.TensorType.of(DataType.FLOAT, 1, TOKENS, WIDTH));
    Value angles =
        graph.addInput("angles", ValueType.TensorType.of(DataType.FLOAT, TOKENS, 1, HEAD_DIM / 2));
    Value q = rotated(graph, heads(graph, tokens), angles);
    Value k = rotated(graph, heads(graph, tokens), angles);
    Value v = transpose(graph, heads(graph, tokens), 0, 2, 1, 3);
    Value scores =
        graph.append("MatMul", transpose(graph, q, 0, 2, 1, 3), transpose(graph, k, 0, 2, 3, 1));
    Value heads = graph.append("MatMul", graph.append("Softmax", scores), v);
    Value joined = reshape(graph, transpose(graph, heads, 0, 2, 1, 3), 1, TOKENS, WIDTH);
    Value out = tail.apply(graph, joined);
    out.setType(new ValueType.TensorType(DataType.FLOAT, Optional.empty()));
    graph.addOutput(out);
    Model model = new Model(graph, 10);
    model.opsets().put("", 17L);
    Compilation compilation = RecognisedModel.recognise(model);
    assertThat(compilation.sites()).hasSize(1);
    return compilation.geometry();
  }

  /** A head's channels in pairs: an axis of 8 becomes 4 x 2. */
  private static Value rotated(Graph graph, Value heads, Value angles) {
    Value pairs = reshape(graph, heads, 1, TOKENS, HEADS, HEAD_DIM / 2, 2);
    Value wide = graph.append("Unsqueeze", angles, graph.addConstant("last", Tensor.vector(-1)));
    return reshape(
        graph, graph.append("Mul", pairs, graph.append("Cos", wide)), 1, TOKENS, HEADS, HEAD_DIM);
  }

  private static Value heads(Graph graph, Value tokens) {
    float[] elements = new float[(int) (WIDTH * WIDTH)];
    Value weight = graph.addConstant("w", Tensor.ofFloats(new long[] {WIDTH, WIDTH}, elements));
    return reshape(graph, graph.append("MatMul", tokens, weight), 1, TOKENS, HEADS, HEAD_DIM);
  }

  private static Value reshape(Graph graph, Value value, long... dims) {
    return graph.append("Reshape", value, graph.addConstant("dims", Tensor.vector(dims)));
  }

  private static Value transpose(Graph graph, Value value, long... perm) {
    Node node = graph.addNode("", "Transpose", "", List.of(value));
    node.setAttribute("perm", new Attribute.IntList(Arrays.stream(perm).boxed().toList()));
    return node.addOutput(graph.freshName("turned"));
  }
}
