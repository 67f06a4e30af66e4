package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import java.util.List;
import org.junit.jupiter.api.Test;

/** An operator that nobody knows stands before attention. */
final class UnknownShapeTest {
  private static final String OPERATOR = "com.acme.Sharpen";

  /** Attention over what the operator makes of the tokens. */
  private static Compilation recognised(boolean declared) {
    SpelledGraph spelled =
        SpelledGraph.of(
            17,
            g -> {
              Value sharp = g.node(OPERATOR, List.of(g.tokens));
              sharp.rename("sharp");
              if (declared) {
                sharp.setType(
                    ValueType.TensorType.of(
                        DataType.FLOAT,
                        SpelledGraph.BATCH,
                        SpelledGraph.VIDEO,
                        SpelledGraph.WIDTH));
              }
              // Their heads are counted by the operator's result.
              Value q = headsOf(g, sharp);
              Value k = headsOf(g, sharp);
              Value v = headsOf(g, sharp);
              return g.merged(g.op("MatMul", g.softmax(g.scores(q, k)), v));
            });
    Model model = spelled.model();
    model.opsets().put("com.acme", 1L);
    Compilation compilation = RecognisedModel.recognise(model);
    return compilation;
  }

  private static Value headsOf(SpelledGraph g, Value tokens) {
    Value lead = g.op("Slice", g.op("Shape", tokens), g.longs(0), g.longs(2));
    Value shape = g.concat(0, lead, g.longs(SpelledGraph.HEADS, SpelledGraph.HEAD_DIM));
    return g.transpose(g.op("Reshape", g.linear(tokens), shape), 0, 2, 1, 3);
  }

  @Test
  void isNamedWithTheRemedy() {
    assertThat(recognised(false).notUnderstood())
        .singleElement()
        .satisfies(
            item ->
                assertThat(item.reason())
                    .contains("that of %sharp is not")
                    .contains("there is no shape rule for operator " + OPERATOR)
                    .contains("graph.value_info.append")
                    .contains("make_tensor_value_info('sharp'"));
  }

  /** Exporters write such nodes where they misread the model, and a declaration mends nothing. */
  @Test
  void anOperatorThatFitsNoShapeIsTheExportersFault() {
    SpelledGraph spelled =
        SpelledGraph.of(
            17,
            g -> {
              Value[] x = g.qkv();
              Value q = g.op("Add", x[0], g.weight(1, 5, SpelledGraph.HEAD_DIM));
              return g.merged(g.op("MatMul", g.softmax(g.scores(q, x[1])), x[2]));
            });
    Compilation compilation = RecognisedModel.recognise(spelled.model());
    assertThat(compilation.notUnderstood())
        .singleElement()
        .satisfies(
            item ->
                assertThat(item.reason())
                    .contains("do not broadcast")
                    .contains("export the model again")
                    .doesNotContain("value_info"));
  }

  /** As exporters did before initializers could be anything else. */
  @Test
  void sizesThatAreInputsAreNamed() {
    SpelledGraph spelled =
        SpelledGraph.of(
            17,
            g -> {
              Value[] x = new Value[3];
              for (int i = 0; i < x.length; i++) {
                String name = "heads" + i;
                Value heads = g.graph.addInput(name, ValueType.TensorType.of(DataType.INT64, 4));
                g.graph.addInitializer(
                    name,
                    Tensor.vector(
                        SpelledGraph.BATCH,
                        SpelledGraph.VIDEO,
                        SpelledGraph.HEADS,
                        SpelledGraph.HEAD_DIM));
                Value split = g.op("Reshape", g.linear(g.tokens), heads);
                x[i] = g.transpose(split, 0, 2, 1, 3);
              }
              return g.merged(g.op("MatMul", g.softmax(g.scores(x[0], x[1])), x[2]));
            });
    Compilation compilation = RecognisedModel.recognise(spelled.model());

    assertThat(compilation.notUnderstood())
        .singleElement()
        .satisfies(
            item ->
                assertThat(item.reason())
                    .startsWith("initializers are graph inputs too (%heads0 among them)")
                    .contains("remove_initializer_from_input"));
  }

  @Test
  void doesNotMatterWhereItsShapeIsDeclared() {
    assertThat(recognised(true).sites()).hasSize(1);
  }
}
