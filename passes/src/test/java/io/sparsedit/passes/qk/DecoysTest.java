package io.sparsedit.passes.qk;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What looks like QK-norm or RoPE in front of Q and is neither. K has nothing in front. */
final class DecoysTest {
  private static final int TOKENS = 10;
  private static final int LANES = 8;
  private static final int WIDTH = 16;

  private final Random random = new Random(1);
  private final Graph graph = Graph.create("decoy");
  private final Value video = input("video", 1, TOKENS, WIDTH);

  private Value input(String name, long... dims) {
    return graph.addInput(name, ValueType.TensorType.of(DataType.FLOAT, dims));
  }

  private Value weight(long... dims) {
    float[] elements = new float[(int) Tensor.elementCount(dims)];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = (float) random.nextGaussian();
    }
    return graph.addConstant("w", Tensor.ofFloats(dims, elements));
  }

  private Value ints(long... numbers) {
    return graph.addConstant("i", Tensor.vector(numbers));
  }

  private Value linear(int outputs) {
    return graph.append("MatMul", video, weight(WIDTH, outputs));
  }

  private static Value with(Value output, String attribute, Attribute setting) {
    output.producer().orElseThrow().setAttribute(attribute, setting);
    return output;
  }

  /** [1,S,H,D] to [1,H,S,D]. */
  private Value headsFirst(Value x) {
    Value split = graph.append("Reshape", x, ints(1, TOKENS, WIDTH / LANES, LANES));
    return with(
        graph.append("Transpose", split), "perm", new Attribute.IntList(List.of(0L, 2L, 1L, 3L)));
  }

  private Value layerNorm(Value x) {
    Value norm = graph.append("LayerNormalization", x, weight(WIDTH));
    return with(norm, "axis", new Attribute.IntValue(-1));
  }

  private Value lanes(Value x, long... places) {
    return with(graph.append("Gather", x, ints(places)), "axis", new Attribute.IntValue(3));
  }

  private Value neighbours(Value x) {
    return lanes(x, 1, 0, 3, 2, 5, 4, 7, 6);
  }

  private Value signs(float first) {
    float[] signs = new float[LANES];
    for (int i = 0; i < LANES; i++) {
      signs[i] = i % 2 == 0 ? first : 1;
    }
    return graph.addConstant("signs", Tensor.ofFloats(new long[] {LANES}, signs));
  }

  /** Cosines or sines, of one angle for each pair of lanes or for each lane. */
  private Value table(boolean cos, boolean pairs) {
    float[] elements = new float[TOKENS * LANES];
    for (int i = 0; i < elements.length; i++) {
      int token = i / LANES;
      int angleOfToken = pairs ? i % LANES / 2 : i % LANES;
      double angle = token + 0.3 * angleOfToken;
      elements[i] = (float) (cos ? Math.cos(angle) : Math.sin(angle));
    }
    return graph.addConstant("t", Tensor.ofFloats(new long[] {TOKENS, LANES}, elements));
  }

  private Value rotated(Value x, Value other, Value cos, Value sin) {
    return graph.append("Add", graph.append("Mul", x, cos), graph.append("Mul", other, sin));
  }

  private QkPreparation preparation(Value q) {
    Value k = headsFirst(linear(WIDTH));
    Value v = headsFirst(linear(WIDTH));
    Value kt =
        with(graph.append("Transpose", k), "perm", new Attribute.IntList(List.of(0L, 1L, 3L, 2L)));
    Value scores = graph.append("MatMul", q, kt);
    Value out = graph.append("MatMul", graph.append("Softmax", scores), v);
    out.setType(ValueType.TensorType.of(DataType.FLOAT, 1, WIDTH / LANES, TOKENS, LANES));
    graph.addOutput(out);
    Model model = new Model(graph, 8);
    model.opsets().put("", 17L);
    return new CutOut(model, Map.of()).preparation(0);
  }

  private void assertNothing(UnaryOperator<Value> decoy) {
    Value x = headsFirst(linear(WIDTH));
    assertThat(preparation(decoy.apply(x)).isSomething()).isFalse();
  }

  // ---- norms ------------------------------------------------------------------------------------

  /** The plain norm is one: otherwise the others would prove nothing. */
  @Test
  void normForQueriesAloneIsAQkNorm() {
    QkPreparation found = preparation(headsFirst(layerNorm(linear(WIDTH))));

    assertThat(found).hasToString("q: layer over hidden, no rope | k: nothing");
  }

  @Test
  void normThatSomethingElseReadsIsNone() {
    Value norm = layerNorm(linear(WIDTH));
    Value residual = graph.append("Add", norm, video);
    residual.setType(ValueType.TensorType.of(DataType.FLOAT, 1, TOKENS, WIDTH));
    graph.addOutput(residual);

    assertThat(preparation(headsFirst(norm)).isSomething()).isFalse();
  }

  /** adaLN: the norm is scaled and shifted by numbers that depend on the input. */
  @Test
  void normThatIsModulatedIsNone() {
    Value scaled = graph.append("Mul", layerNorm(linear(WIDTH)), linear(WIDTH));
    Value shifted = graph.append("Add", scaled, linear(WIDTH));

    assertThat(preparation(headsFirst(shifted)).isSomething()).isFalse();
  }

  /** The norm in front of the projection belongs to the block. */
  @Test
  void normBeforeTheProjectionIsNone() {
    Value projected = graph.append("MatMul", layerNorm(video), weight(WIDTH, WIDTH));

    assertThat(preparation(headsFirst(projected)).isSomething()).isFalse();
  }

  /** Over tokens instead of lanes. */
  @Test
  void normOverTokensIsNone() {
    Value x = linear(WIDTH);
    Value square = graph.append("Mul", x, x);
    Value mean =
        with(graph.append("ReduceMean", square), "axes", new Attribute.IntList(List.of(1L)));
    Value safe = graph.append("Add", mean, graph.addConstant("e", Tensor.scalar(1e-6f)));

    assertThat(
            preparation(headsFirst(graph.append("Div", x, graph.append("Sqrt", safe))))
                .isSomething())
        .isFalse();
  }

  // ---- rope -------------------------------------------------------------------------------------

  @Test
  void rotationOfPairsIsRope() {
    Value x = headsFirst(linear(WIDTH));
    Value turned = graph.append("Mul", neighbours(x), signs(-1));

    assertThat(preparation(rotated(x, turned, table(true, true), table(false, true))))
        .hasToString("q: no norm, interleaved rope, constant | k: nothing");
  }

  /** 200 doublings are 2^200 terms; the search gives up at the first few. */
  @Test
  @Timeout(60)
  void doublingsAreNoneAndEndAtOnce() {
    assertNothing(
        x -> {
          Value sum = x;
          for (int i = 0; i < 200; i++) {
            sum = graph.append("Add", sum, sum);
          }
          return sum;
        });
  }

  /** Both of a pair get the other with the same sign: no rotation. */
  @Test
  void reflectionIsNone() {
    assertNothing(x -> rotated(x, neighbours(x), table(true, true), table(false, true)));
  }

  /** Lanes move on by one: no pairs. */
  @Test
  void rollIsNone() {
    assertNothing(
        x ->
            rotated(
                x,
                graph.append("Mul", lanes(x, 1, 2, 3, 4, 5, 6, 7, 0), signs(-1)),
                table(true, true),
                table(false, true)));
  }

  /** Two lanes of a pair by different angles. */
  @Test
  void anglesThatDifferInAPairAreNone() {
    assertNothing(
        x ->
            rotated(
                x,
                graph.append("Mul", neighbours(x), signs(-1)),
                table(true, false),
                table(false, false)));
  }

  /** Constants that are no cosine and sine. */
  @Test
  void stretchingIsNone() {
    assertNothing(
        x ->
            rotated(
                x,
                graph.append("Mul", neighbours(x), signs(-1)),
                table(true, true),
                table(true, true)));
  }

  /** Gates computed from the tokens themselves. */
  @Test
  void gatesAreNone() {
    assertNothing(
        x ->
            rotated(
                x,
                graph.append("Mul", neighbours(x), signs(-1)),
                headsFirst(linear(WIDTH)),
                headsFirst(linear(WIDTH))));
  }

  /** One more term. */
  @Test
  void rotationWithABiasIsNone() {
    assertNothing(
        x ->
            graph.append(
                "Add",
                rotated(
                    x,
                    graph.append("Mul", neighbours(x), signs(-1)),
                    table(true, true),
                    table(false, true)),
                weight(LANES)));
  }
}
