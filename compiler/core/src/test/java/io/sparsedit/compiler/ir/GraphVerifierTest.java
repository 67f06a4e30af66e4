package io.sparsedit.compiler.ir;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;

class GraphVerifierTest {
  private final Model model = new Model(Graph.create("main"), 10);
  private final Graph graph = model.graph();
  private final Value x = graph.addInput("x");
  private final Value a = graph.append("Relu", x);

  GraphVerifierTest() {
    model.opsets().put("", 17L);
    graph.addOutput(a);
  }

  @Test
  void aGoodModelHasNoProblems() {
    assertThat(GraphVerifier.problems(model)).isEmpty();
    GraphVerifier.require(model);
  }

  @Test
  void aUseBeforeTheDefinition() {
    Value b = graph.append("Neg", x);
    a.producer().orElseThrow().setInput(0, b);

    assertProblem("Relu -> %Relu reads %Neg, which is computed later");
  }

  @Test
  void aValueOfAnotherGraph() {
    graph.append("Neg", Graph.create("other").addInput("y"));

    assertProblem("Neg -> %Neg reads %y, which is not defined");
  }

  @Test
  void aValueOfASiblingsBranch() {
    Graph thenBranch = branch("then_branch");
    Value inner = thenBranch.append("Neg", x);
    Graph elseBranch = branch("else_branch");
    elseBranch.append("Abs", inner);

    assertProblem("reads %Neg, which is computed later or in a graph it cannot see");
  }

  @Test
  void aBranchThatHidesAName() {
    branch("then_branch").addInput("x");

    assertProblem("input %x has the name of another value that is visible there");
  }

  @Test
  void branchesMayUseEachOthersNames() {
    branch("then_branch").addInput("i");
    branch("else_branch").addInput("i");

    assertThat(GraphVerifier.problems(model)).isEmpty();
  }

  @Test
  void aSubgraphOfAnotherGraph() {
    Node node = graph.addNode("", "If", "", List.of(x));
    node.setAttribute("then_branch", new Attribute.GraphValue(Graph.create("stranger")));

    assertProblem("has a subgraph that belongs to another graph");
  }

  @Test
  void anOutputThatIsNotDefined() {
    graph.addOutput(Graph.create("other").addInput("y"));

    assertProblem("output %y of graph 'main' is not defined in it");
  }

  @Test
  void aReadOfARemovedNodesOutput() {
    Value b = graph.append("Neg", x);
    graph.remove(b.producer().orElseThrow());
    graph.append("Abs", b);

    assertProblem("Abs -> %Abs reads %Neg, which is not defined");
  }

  @Test
  void aFunctionThatReadsTheMainGraph() {
    function("F").body().append("Neg", x);

    assertProblem("function local.F: Neg -> %Neg reads %x");
  }

  @Test
  void aReferenceToAnAttributeTheFunctionDoesNotHave() {
    Function function = function("F");
    function.attributeNames().add("scale");
    Node constant = function.body().addNode("", "Constant", "c", List.of());
    constant.setAttribute("value_float", new Attribute.Reference("scale", 1));
    constant.setAttribute("value_int", new Attribute.Reference("size", 2));

    assertProblem("'value_int' refers to 'size', which the function does not have");
  }

  @Test
  void aReferenceOutsideOfAFunction() {
    a.producer().orElseThrow().setAttribute("k", new Attribute.Reference("scale", 1));

    assertProblem("attribute 'k' refers to a function's, outside of one");
  }

  @Test
  void functionsThatCallEachOther() {
    function("F").body().addNode("local", "G", "", List.of());
    function("G").body().addNode("local", "H", "", List.of());
    function("H").body().addNode("local", "G", "", List.of());
    function("Leaf");

    assertThat(GraphVerifier.problems(model))
        .singleElement()
        .asString()
        .contains("calls itself, directly or through others");
  }

  @Test
  void aFunctionThatIsDefinedTwice() {
    function("F");
    function("F");

    assertProblem("function local.F is defined twice");
  }

  @Test
  void aFunctionOfADomainThatIsNotImported() {
    function("F");
    model.opsets().remove("local");

    assertProblem("the model does not import its domain 'local'");
  }

  @Test
  void requireNamesTheProblems() {
    graph.append("Neg", Graph.create("other").addInput("y"));

    assertThatThrownBy(() -> GraphVerifier.require(model))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("%y");
  }

  private Graph branch(String attribute) {
    Node node =
        graph.nodeList().stream()
            .filter(n -> n.is("If"))
            .findFirst()
            .orElseGet(() -> graph.addNode("", "If", "", List.of(x)));
    Graph branch = Graph.createSubgraph(graph, attribute);
    node.setAttribute(attribute, new Attribute.GraphValue(branch));
    return branch;
  }

  private Function function(String name) {
    model.opsets().put("local", 1L);
    Function function = new Function("local", name, "");
    model.functions().add(function);
    return function;
  }

  private void assertProblem(String expected) {
    assertThat(GraphVerifier.problems(model)).anySatisfy(p -> assertThat(p).contains(expected));
  }
}
