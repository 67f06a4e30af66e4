package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;

final class InlineFunctionsTest {
  private static final String DOMAIN = "my.modules";

  /** softmax(q kᵀ) v, with the axis of the softmax as an attribute. */
  private static Function attention() {
    Function function = new Function(DOMAIN, "Core", "");
    function.opsets().put("", 17L);
    Graph body = function.body();
    Value q = body.addInput("q");
    Value k = body.addInput("k");
    Value v = body.addInput("v");
    Node turn = body.addNode("", "Transpose", "turn", List.of(k));
    turn.setAttribute("perm", new Attribute.IntList(List.of(0L, 1L, 3L, 2L)));
    Value scores = body.append("MatMul", q, turn.addOutput("kt"));
    Node softmax = body.addNode("", "Softmax", "", List.of(scores));
    softmax.setAttribute("axis", new Attribute.Reference("over", 2));
    Node product = body.addNode("", "MatMul", "product", List.of(softmax.addOutput("p"), v));
    body.addOutput(product.addOutput("o"));
    function.attributeDefaults().put("over", new Attribute.IntValue(-1));
    return function;
  }

  /** Calls {@link #attention} within another function. */
  private static Function block() {
    Function function = new Function(DOMAIN, "Block", "");
    function.opsets().put("", 17L);
    function.opsets().put(DOMAIN, 1L);
    Graph body = function.body();
    Value x = body.addInput("x");
    Value low = body.addInput("low");
    Node clip = body.addNode("", "Clip", "", List.of(x, low));
    Node call = body.addNode(DOMAIN, "Core", "core", List.of(clip.addOutput("c"), x, x));
    body.addOutput(call.addOutput("o"));
    return function;
  }

  private static SpelledGraph spelled() {
    return SpelledGraph.of(
        17,
        g -> {
          Value x = g.bhsd(g.tokens);
          for (int i = 0; i < 2; i++) {
            Node call = g.graph.addNode(DOMAIN, "Block", "/block" + i + "/call", List.of(x));
            x = call.addOutput("x" + i);
          }
          return g.merged(x);
        });
  }

  private static Model model(SpelledGraph spelled) {
    Model model = spelled.model();
    model.opsets().put(DOMAIN, 1L);
    model.functions().add(attention());
    model.functions().add(block());
    return model;
  }

  @Test
  void bodiesStandInThePlaceOfCalls() {
    SpelledGraph spelled = spelled();
    Model model = model(spelled);
    GraphVerifier.require(model);
    final double[] expected = CanonicalForm.output(model, spelled);

    int inlined =
        new InlineFunctions()
            .run(new Compilation(Path.of("test.onnx"), model, CompileOptions.DEFAULT));

    GraphVerifier.require(model);
    assertThat(inlined).isEqualTo(4);
    assertThat(model.functions()).isEmpty();
    assertThat(StreamSupport.stream(model.graph().nodes().spliterator(), false).map(Node::opType))
        .doesNotContain("Block", "Core")
        .contains("Softmax");
    assertThat(StreamSupport.stream(model.graph().nodes().spliterator(), false).map(Node::name))
        .contains("/block1/call/core/product");
    assertThat(CanonicalForm.output(model, spelled)).containsExactly(expected, within(1e-6));
  }

  @Test
  void attentionInFunctionsIsFound() {
    Model model = model(spelled());
    Compilation compilation = RecognisedModel.recognise(model);

    assertThat(compilation.sites().stream().map(RandomGraph::describe))
        .containsExactly("self 2 24 to 24", "self 2 24 to 24");
  }

  @Test
  void functionOfAnotherOperatorSetStays() {
    SpelledGraph spelled = spelled();
    Model model = model(spelled);
    model.functions().forEach(function -> function.opsets().put("", 18L));

    int inlined =
        new InlineFunctions()
            .run(new Compilation(Path.of("test.onnx"), model, CompileOptions.DEFAULT));

    assertThat(inlined).isZero();
    assertThat(model.functions()).hasSize(2);
  }
}
