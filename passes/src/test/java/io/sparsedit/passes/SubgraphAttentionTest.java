package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Attention in the bodies of If and Loop: found, named, left dense unless the branch is known. */
final class SubgraphAttentionTest {
  private static final ValueType ANY = new ValueType.TensorType(DataType.FLOAT, Optional.empty());

  /** Attention of x with itself, in a graph that may be a body. */
  private static Value attend(Graph graph, Value x) {
    Node turn = graph.addNode("", "Transpose", "", List.of(x));
    turn.setAttribute("perm", new Attribute.IntList(List.of(0L, 1L, 3L, 2L)));
    Value kt = turn.addOutput(graph.freshName("kt"));
    return graph.append("MatMul", graph.append("Softmax", graph.append("MatMul", x, kt)), x);
  }

  /** If(condition) { attention of x } else { x }. */
  private static SpelledGraph branches(boolean known) {
    return SpelledGraph.of(
        17,
        g -> {
          Value x = g.bhsd(g.tokens);
          Tensor yes = Tensor.scalar(true);
          Value condition =
              known
                  ? g.graph.addConstant("condition", yes)
                  : g.input("condition", DataType.BOOL, yes);
          Node choice = g.graph.addNode("", "If", "choice", List.of(condition));
          Graph then = Graph.createSubgraph(g.graph, "then");
          Value attended = attend(then, x);
          attended.setType(ANY);
          then.addOutput(attended);
          Graph otherwise = Graph.createSubgraph(g.graph, "otherwise");
          Value same = otherwise.append("Identity", x);
          same.setType(ANY);
          otherwise.addOutput(same);
          choice.setAttribute("then_branch", new Attribute.GraphValue(then));
          choice.setAttribute("else_branch", new Attribute.GraphValue(otherwise));
          return g.merged(choice.addOutput("chosen"));
        });
  }

  /** Three rounds of x = attention of x. */
  private static SpelledGraph loop() {
    return SpelledGraph.of(
        17,
        g -> {
          Value x = g.bhsd(g.tokens);
          Value trips = g.graph.addConstant("trips", Tensor.scalar(3L));
          Value go = g.graph.addConstant("go", Tensor.scalar(true));
          Node loop = g.graph.addNode("", "Loop", "layers", List.of(trips, go, x));
          Graph body = Graph.createSubgraph(g.graph, "body");
          body.addInput("round", new ValueType.TensorType(DataType.INT64, Optional.of(List.of())));
          Value goOn =
              body.addInput(
                  "go_on", new ValueType.TensorType(DataType.BOOL, Optional.of(List.of())));
          Value state = body.addInput("state", ANY);
          Value still = body.append("Identity", goOn);
          still.setType(new ValueType.TensorType(DataType.BOOL, Optional.of(List.of())));
          body.addOutput(still);
          Value attended = attend(body, state);
          attended.setType(ANY);
          body.addOutput(attended);
          loop.setAttribute("body", new Attribute.GraphValue(body));
          return g.merged(loop.addOutput("looped"));
        });
  }

  @Test
  void branchThatIsTakenForSureIsPartOfTheGraph() {
    assertThat(sites(branches(true))).isEqualTo("self 2 24 to 24");
  }

  @Test
  void attentionOfABranchIsReported() {
    assertThat(sites(branches(false)))
        .isEqualTo(
            "self 2 24 to 24: it is inside the body of If 'choice'; only the main graph is made"
                + " sparse");
  }

  @Test
  void attentionOfALoopIsReported() {
    assertThat(sites(loop()))
        .isEqualTo(
            "self 2 24 to 24: it is inside the body of Loop 'layers'; only the main graph is made"
                + " sparse");
  }

  /** The sites, after every pass has been checked and all sites have been taken back. */
  private static String sites(SpelledGraph spelled) {
    Model model = spelled.model();
    GraphVerifier.require(model);
    final double[] expected = CanonicalForm.output(model, spelled);
    Compilation compilation =
        RecognisedModel.recognise(
            model,
            (pass, changes) ->
                assertThat(CanonicalForm.output(model, spelled))
                    .as(pass.name())
                    .containsExactly(expected, within(1e-5)));
    String found =
        compilation.sites().stream()
            .map(
                site ->
                    RandomGraph.describe(site)
                        + DenseOnly.why(site.attention(), model.graph())
                            .map(why -> ": " + why)
                            .orElse(""))
            .collect(Collectors.joining(", "));
    assertThat(compilation.notUnderstood()).isEmpty();
    compilation.sites().forEach(site -> site.recognition().undo());
    model.graph().removeDeadNodes();
    GraphVerifier.require(model);
    assertThat(CanonicalForm.output(model, spelled)).containsExactly(expected, within(1e-5));
    return found;
  }
}
