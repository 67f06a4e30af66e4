package io.sparsedit.compiler.ir;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** After every test the graph is well formed. */
class GraphTest {
  private final Graph graph = Graph.create("test");
  private final Value x = graph.addInput("x");
  private final Value a = graph.append("Relu", x);
  private final Value b = graph.append("Add", a, a);

  GraphTest() {
    graph.addOutput(b);
  }

  @AfterEach
  void theGraphIsWellFormed() {
    assertThat(GraphVerifier.problems(graph)).isEmpty();
  }

  @Test
  void aValueKnowsItsProducerAndItsUses() {
    Node add = node(b);
    assertThat(a.producer()).contains(node(a));
    assertThat(a.uses()).containsExactly(new Value.Use(add, 0), new Value.Use(add, 1));
    assertThat(x.producer()).isEmpty();
    assertThat(b.isGraphOutput()).isTrue();
    assertThat(b.isUnused()).isFalse();
  }

  @Test
  void nodesAreInsertedBeforeOthers() {
    Value c = graph.insertBefore(node(b), "Neg", a);
    node(b).setInput(1, c);

    assertThat(ops(graph)).containsExactly("Relu", "Neg", "Add");
    assertThat(graph.nodeCount()).isEqualTo(3);
    assertThat(a.uses()).hasSize(2);
    assertThat(c.uses()).hasSize(1);
  }

  @Test
  void aNodeIsMoved() {
    Value c = graph.append("Neg", x);
    graph.moveBefore(node(c), node(a));

    assertThat(ops(graph)).containsExactly("Neg", "Relu", "Add");
    assertThat(graph.nodeCount()).isEqualTo(3);
  }

  @Test
  void aReplacementTakesAllUsesAndTheOutputs() {
    Value c = graph.append("Mul", x, x);
    b.replaceAllUsesWith(c);
    a.replaceAllUsesWith(x);

    assertThat(graph.outputs()).containsExactly(c);
    assertThat(a.uses()).isEmpty();
    assertThat(b.isUnused()).isTrue();
    assertThat(node(b).requiredInput(0)).isSameAs(x);
    assertThatThrownBy(() -> c.replaceAllUsesWith(c)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void onlyUnusedNodesCanBeRemoved() {
    assertThatThrownBy(() -> graph.remove(node(a))).hasMessageContaining("is used");

    graph.setOutput(0, x);
    graph.remove(node(b));
    graph.remove(node(a));

    assertThat(graph.nodes()).isEmpty();
    assertThat(x.uses()).isEmpty();
    assertThat(graph.value(a.name())).isEmpty();
    assertThat(node(a).isAttached()).isFalse();
  }

  @Test
  void aLoopMayRemoveTheNodeItStandsOn() {
    Value c = graph.append("Neg", a);
    graph.append("Neg", c);
    int seen = 0;
    for (Node node : graph.nodes()) {
      seen++;
      if (node.output().isUnused()) {
        graph.remove(node);
      }
    }

    assertThat(seen).isEqualTo(4);
    assertThat(ops(graph)).containsExactly("Relu", "Add", "Neg");
  }

  @Test
  void deadNodesGoWithTheirInitializers() {
    Value weight = graph.addConstant("w", Tensor.scalar(1f));
    Value kept = graph.addConstant("k", Tensor.scalar(2f));
    Value dead = graph.append("Mul", a, weight);
    graph.append("Neg", dead);
    Node twoOutputs = graph.addNode("", "Split", "", List.of(a, kept));
    twoOutputs.addOutput("first");
    graph.addOutput(twoOutputs.addOutput("second"));

    assertThat(graph.removeDeadNodes()).isEqualTo(2);
    assertThat(ops(graph)).containsExactly("Relu", "Add", "Split");
    assertThat(graph.initializers()).containsExactly(kept);
    assertThat(graph.inputs()).containsExactly(x);
    assertThat(graph.removeDeadNodes()).isZero();
  }

  @Test
  void subgraphsKeepWhatTheyCaptureAlive() {
    Value captured = graph.append("Neg", x);
    Value passedOn = graph.append("Abs", x);
    Node choice = graph.addNode("", "If", "", List.of(x));
    Graph body = Graph.createSubgraph(graph, "then");
    Value inner = body.append("Mul", captured, captured);
    body.append("Neg", inner);
    body.addOutput(inner);
    body.addOutput(passedOn);
    choice.setAttribute("then_branch", new Attribute.GraphValue(body));
    Value chosen = choice.addOutput("chosen");
    graph.addOutput(chosen);

    assertThat(body.resolve("x")).contains(x);
    assertThat(graph.resolve(inner.name())).isEmpty();
    assertThat(passedOn.isGraphOutput()).isTrue();
    assertThat(graph.removeDeadNodes()).as("only the branch's Neg").isEqualTo(1);
    assertThat(ops(body)).containsExactly("Mul");

    captured.replaceAllUsesWith(a);
    passedOn.replaceAllUsesWith(a);
    assertThat(node(inner).requiredInput(1)).isSameAs(a);
    assertThat(body.outputs()).containsExactly(inner, a);

    graph.setOutput(1, b);
    assertThat(graph.removeDeadNodes()).as("If, Neg, Abs").isEqualTo(3);
    assertThat(ops(graph)).containsExactly("Relu", "Add");
    assertThat(a.uses()).hasSize(2);
  }

  @Test
  void whatOnlyADeadSubgraphPassesOnIsDead() {
    Value passedOn = graph.append("Abs", x);
    Node choice = graph.addNode("", "If", "", List.of(x));
    Graph body = Graph.createSubgraph(graph, "then");
    body.addOutput(passedOn);
    choice.setAttribute("then_branch", new Attribute.GraphValue(body));
    choice.addOutput("chosen");

    assertThat(graph.removeDeadNodes()).isEqualTo(2);
    assertThat(ops(graph)).containsExactly("Relu", "Add");
  }

  @Test
  void aReplacedSubgraphReleasesWhatItReads() {
    Node choice = graph.addNode("", "If", "", List.of(x));
    Graph body = Graph.createSubgraph(graph, "then");
    body.addOutput(body.append("Neg", a));
    choice.setAttribute("then_branch", new Attribute.GraphValue(body));
    choice.addOutput("chosen");
    assertThat(a.uses()).hasSize(3);

    choice.removeAttribute("then_branch");

    assertThat(a.uses()).hasSize(2);
  }

  @Test
  void namesAreUniqueOverNestedGraphs() {
    Node choice = graph.addNode("", "If", "", List.of(x));
    Graph body = Graph.createSubgraph(graph, "then");
    body.addOutput(body.addConstant("name", Tensor.scalar(1L)));
    choice.setAttribute("then_branch", new Attribute.GraphValue(body));

    assertThat(graph.freshName("name")).isNotEqualTo("name");
    assertThat(body.freshName("x")).isNotEqualTo("x");
    assertThat(graph.freshName("other")).isEqualTo("other");
    assertThatThrownBy(() -> graph.addInput("x")).hasMessageContaining("'x' is assigned twice");
  }

  @Test
  void aRenamedValueIsFoundUnderItsNewNameOnly() {
    a.rename("better");
    a.rename("better");

    assertThat(graph.value("better")).contains(a);
    assertThat(graph.values()).contains(a);
    assertThat(graph.freshName("Relu")).isEqualTo("Relu");
    assertThatThrownBy(() -> a.rename("x")).hasMessageContaining("assigned twice");
  }

  @Test
  void inputsMayBeAbsent() {
    Node clip = graph.addNode("", "Clip", "", List.of(a));
    clip.clearInput(1);
    clip.setInput(2, x);
    clip.addOutput("clipped");

    assertThat(clip.inputCount()).isEqualTo(3);
    assertThat(clip.input(1)).isEmpty();
    assertThat(clip.input(7)).isEmpty();
    assertThat(clip.presentInputs()).containsExactly(a, x);
    clip.clearInput(2);
    assertThat(x.uses()).hasSize(1);
  }

  @Test
  void anInputMayHaveADefault() {
    graph.addInitializer("x", Tensor.scalar(1f));

    assertThat(x.constant()).isPresent();
    assertThat(graph.inputs()).containsExactly(x);
    assertThat(graph.initializers()).containsExactly(x);
  }

  private static Node node(Value value) {
    return value.producer().orElseThrow();
  }

  private static List<String> ops(Graph graph) {
    return graph.nodeList().stream().map(Node::opType).toList();
  }
}
