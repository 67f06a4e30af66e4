package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The type that a site's queries and keys are in is the one in which the model multiplies them. */
final class NarrowQueriesAndKeysTest {
  private static final int OPSET = 19;

  private static Value cast(SpelledGraph g, Value value, DataType type) {
    return g.node("Cast", List.of(value), "to", type.code());
  }

  /** Queries and keys in f64, as after a rotary embedding by complex numbers, multiplied in f32. */
  private static Value fromDouble(SpelledGraph g) {
    Value[] x = g.qkv();
    Value q = g.op("Sin", cast(g, x[0], DataType.DOUBLE));
    Value k = g.op("Sin", cast(g, x[1], DataType.DOUBLE));
    Value scores = g.scores(cast(g, q, DataType.FLOAT), cast(g, k, DataType.FLOAT));
    return g.merged(g.op("MatMul", g.softmax(scores), x[2]));
  }

  /** Queries and keys in f32, multiplied in f16. */
  private static Value toHalf(SpelledGraph g) {
    Value[] x = g.qkv();
    Value q = cast(g, g.op("Sin", x[0]), DataType.FLOAT16);
    Value k = cast(g, g.op("Sin", x[1]), DataType.FLOAT16);
    Value product = g.op("MatMul", q, g.transpose(k, 0, 1, 3, 2));
    Value scores = g.op("Mul", cast(g, product, DataType.FLOAT), g.number(0.5));
    Value weights = cast(g, g.softmax(scores), DataType.FLOAT16);
    Value out = g.op("MatMul", weights, cast(g, x[2], DataType.FLOAT16));
    return g.merged(cast(g, out, DataType.FLOAT));
  }

  /** Queries and keys in f16, multiplied in f32. */
  private static Value fromHalf(SpelledGraph g) {
    Value[] x = g.qkv();
    Value q = cast(g, g.op("Sin", cast(g, x[0], DataType.FLOAT16)), DataType.FLOAT);
    Value k = cast(g, g.op("Sin", cast(g, x[1], DataType.FLOAT16)), DataType.FLOAT);
    return g.merged(g.op("MatMul", g.softmax(g.scores(q, k)), x[2]));
  }

  /** Queries and keys that are rounded to eight bits on their way. */
  private static Value byEightBits(SpelledGraph g) {
    Value[] x = g.qkv();
    Value q = cast(g, cast(g, x[0], DataType.FLOAT8E4M3FN), DataType.FLOAT);
    Value k = cast(g, cast(g, x[1], DataType.FLOAT8E4M3FN), DataType.FLOAT);
    return g.merged(g.op("MatMul", g.softmax(g.scores(q, k)), x[2]));
  }

  @Test
  void doublesAreMultipliedInFloats() {
    assertThat(typeOf(SpelledGraph.of(OPSET, NarrowQueriesAndKeysTest::fromDouble)))
        .isEqualTo(DataType.FLOAT);
  }

  @Test
  void floatsAreMultipliedInHalves() {
    assertThat(typeOf(SpelledGraph.of(OPSET, NarrowQueriesAndKeysTest::toHalf)))
        .isEqualTo(DataType.FLOAT16);
  }

  @Test
  void whatIsWidenedForTheProductStaysNarrow() {
    assertThat(typeOf(SpelledGraph.of(OPSET, NarrowQueriesAndKeysTest::fromHalf)))
        .isEqualTo(DataType.FLOAT16);
  }

  @Test
  void eightBitsAreNoTypeOfAProduct() {
    assertThat(typeOf(SpelledGraph.of(OPSET, NarrowQueriesAndKeysTest::byEightBits)))
        .isEqualTo(DataType.FLOAT);
  }

  /** The type of the one site, which is sparse; it is the exporter's attention when undone. */
  private static DataType typeOf(SpelledGraph spelled) {
    Model model = spelled.model();
    double[] before = CanonicalForm.output(model, spelled);
    Compilation compilation = RecognisedModel.recognise(model);
    assertThat(compilation.sites()).hasSize(1);
    Site site = compilation.sites().get(0);
    assertThat(site.sparsify()).as(site.reason()).isTrue();
    assertThat(compilation.facts().elementType(site.query())).isEqualTo(site.elementType());

    site.recognition().undo();
    model.graph().removeDeadNodes();
    assertThat(Pipeline.operators(model)).doesNotContainKey("sparsedit.Attention");
    assertThat(CanonicalForm.output(model, spelled)).containsExactly(before, within(1e-5));
    return site.elementType();
  }
}
