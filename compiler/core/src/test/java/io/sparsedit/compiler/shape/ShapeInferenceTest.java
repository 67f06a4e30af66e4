package io.sparsedit.compiler.shape;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.ir.ValueType.TensorType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

final class ShapeInferenceTest {
  private Graph graph = Graph.create("");
  private Model model = new Model(graph, 10);

  @BeforeEach
  void start() {
    graph = Graph.create("test");
    model = new Model(graph, 10);
    model.opsets().put("", 21L);
  }

  // ---- partial evaluation -----------------------------------------------------------------------

  @Test
  void theScaleOfTorchScriptIsAConstantBesideSymbolicSizes() {
    Value q = input("q", "B", 2, "S", 32);
    Value shape = graph.append("Shape", q);
    Value last = slice(shape, -1, Long.MAX_VALUE);
    Value cast = with(graph.append("Cast", last), "to", 1);
    Value root = graph.append("Sqrt", cast);
    Value scale = graph.append("Div", floats(1), root);
    Value rootOfScale = graph.append("Sqrt", scale);

    ShapeTable table = infer();

    assertThat(table.constant(rootOfScale).flatMap(Tensor::doubles))
        .hasValueSatisfying(v -> assertThat(v).containsExactly((float) Math.sqrt(scaleOf(32))));
    assertThat(table.elements(shape)).hasToString("Optional[[B, 2, S, 32]]");
    assertThat(table.constant(shape)).isEmpty();
  }

  @Test
  void shapesThatAreComputedFromSizesAreFollowed() {
    Value x = input("x", "B", 4, "F", "H", "W");
    Value shape = graph.append("Shape", x);
    Value height = graph.append("Div", gather(shape, 3), ints(2));
    Value width = graph.append("Div", gather(shape, 4), ints(2));
    Value tokens = graph.append("Mul", graph.append("Mul", gather(shape, 2), height), width);
    Value target = concat(gather(shape, 0), tokens, ints(-1));
    Value data = input("data", "B", 8, "F", "H", "W");
    Value pooled = graph.append("MaxPool", data);
    pooled.producer().orElseThrow().setAttribute("kernel_shape", longs(1, 2, 2));
    pooled.producer().orElseThrow().setAttribute("strides", longs(1, 2, 2));
    Value tokensOfPool = graph.append("Reshape", pooled, target);

    ShapeTable table = infer();

    assertThat(table.elements(tokens)).hasToString("Optional[[F*(H//2)*(W//2)]]");
    assertThat(table.shape(pooled)).hasToString("Optional[[B, 8, F, H//2, W//2]]");
    assertThat(table.shape(tokensOfPool)).hasToString("Optional[[B, F*(H//2)*(W//2), 8]]");
  }

  @Test
  void expandTargetsThatTestForMinusOneAreFollowed() {
    Value x = input("x", "S", 1);
    Value target = concat(gather(graph.append("Shape", x), 0), ints(-1));
    Value ones = graph.append("ConstantOfShape", ints(2));
    ones.producer()
        .orElseThrow()
        .setAttribute("value", new Attribute.TensorValue(Tensor.vector(1)));
    Value minusOnes = graph.append("Mul", ones, ints(-1));
    Value chosen = graph.append("Where", graph.append("Equal", target, minusOnes), ones, target);
    Value expanded = graph.append("Expand", x, chosen);

    ShapeTable table = infer();

    assertThat(table.elements(chosen)).hasToString("Optional[[S, 1]]");
    assertThat(table.shape(expanded)).hasToString("Optional[[S, 1]]");
  }

  @Test
  void sizesThatGoThroughFloatingPointAreFollowed() {
    Value x = input("x", 1, 3, "H", "W");
    Value height = gather(graph.append("Shape", x), 2);
    Value half = graph.append("Mul", with(graph.append("Cast", height), "to", 1), floats(0.5f));
    Value rounded = with(graph.append("Cast", graph.append("Floor", half)), "to", 7);
    Value up = with(graph.append("Cast", graph.append("Ceil", half)), "to", 7);

    ShapeTable table = infer();

    assertThat(table.elements(rounded)).hasToString("Optional[[H//2]]");
    assertThat(table.elements(up)).hasToString("Optional[[(H + 1)//2]]");
  }

  @Test
  void elementsOfInputsAreNotKnownButShapesTheyGiveAgree() {
    Value length = graph.addInput("length", TensorType.of(DataType.INT64, 1));
    Value x = input("x", 1, "S", 8);
    Value head = graph.append("Slice", x, ints(0), length, ints(1));
    Value range = graph.append("Reshape", input("y", "N"), concat(length, ints(4)));
    Value sum = graph.append("Add", length, ints(1));

    ShapeTable table = infer();

    assertThat(table.elements(length)).isEmpty();
    assertThat(table.elements(sum)).isEmpty();
    assertThat(table.constant(sum)).isEmpty();
    assertThat(table.shape(head).orElseThrow()).hasSize(3);
    assertThat(table.shape(range).orElseThrow().get(1)).isEqualTo(Dim.of(4));
  }

  @Test
  void sizesCanBeGiven() {
    Value x = input("x", "B", "2*H");
    Value y = graph.append("Transpose", x);

    ShapeTable table = ShapeInference.infer(model, Map.of("H", 5L));

    assertThat(table.shape(y)).hasToString("Optional[[10, B]]");
  }

  // ---- operators --------------------------------------------------------------------------------

  @Test
  void sliceCountsAsTheOperatorDoes() {
    Value x = input("x", "S + T", 10);
    Value withoutTail = sliceAt(x, 0, ints(0), graph.append("Neg", sizeOf("T")));
    Value tail = sliceAt(x, 0, graph.append("Neg", sizeOf("T")), ints(Long.MAX_VALUE));
    Value odd = graph.append("Slice", x, ints(1), ints(Integer.MAX_VALUE), ints(1), ints(2));
    Value reversed = graph.append("Slice", x, ints(-1), ints(Long.MIN_VALUE), ints(0), ints(-1));
    Value lastThree = sliceAt(x, 1, ints(-3), ints(10));
    Value unclear = sliceAt(x, 0, ints(-3), ints(Long.MAX_VALUE));

    ShapeTable table = infer();

    assertThat(table.shape(withoutTail)).hasToString("Optional[[S, 10]]");
    assertThat(table.shape(tail)).hasToString("Optional[[T, 10]]");
    assertThat(table.shape(odd)).hasToString("Optional[[S + T, 5]]");
    assertThat(table.shape(reversed)).hasToString("Optional[[S + T, 10]]");
    assertThat(table.shape(lastThree)).hasToString("Optional[[S + T, 3]]");
    assertThat(table.shape(unclear)).hasToString("Optional[[Min(3, S + T), 10]]");
  }

  @Test
  void attentionOfOperatorSet23IsKnown() {
    Value q = input("q", "B", 2, "S", 32);
    Value kv = input("kv", "B", 2, "T", 32);
    Value four = graph.append("Attention", q, kv, kv);
    Value flat = input("flat", "B", "S", 64);
    Value three = graph.append("Attention", flat, flat, flat);
    three.producer().orElseThrow().setAttribute("q_num_heads", 4).setAttribute("kv_num_heads", 2);

    ShapeTable table = infer();

    assertThat(table.shape(four)).hasToString("Optional[[B, 2, S, 32]]");
    assertThat(table.shape(three)).hasToString("Optional[[B, S, 128]]");
  }

  @Test
  void einsumKeepsItsLetters() {
    Value q = input("q", "B", "S", 2, 32);
    Value k = input("k", "B", "T", 2, 32);
    Value scores = graph.append("Einsum", q, k);
    scores.producer().orElseThrow().setAttribute("equation", "bqhd, bkhd -> bhqk");
    Value outer = graph.append("Einsum", input("a", 3, "N", 5), input("b", "N"));
    outer.producer().orElseThrow().setAttribute("equation", "...nd,n");

    ShapeTable table = infer();

    assertThat(table.shape(scores)).hasToString("Optional[[B, 2, S, T]]");
    assertThat(table.shape(outer)).hasToString("Optional[[3, 5]]");
  }

  @Test
  void broadcastingPrefersWhatCannotBeOne() {
    Value x = input("x", "B", "S + T", 64);
    Value table = input("table", 1, "N + M", 64);
    Value other = input("other", "C", 1, 64);
    Value rotated = graph.append("Mul", table, x);
    Value mixed = graph.append("Add", x, other);

    ShapeTable facts = infer();

    assertThat(facts.shape(rotated)).hasToString("Optional[[B, S + T, 64]]");
    assertThat(facts.shape(mixed)).hasToString("Optional[[Max(B, C), S + T, 64]]");
  }

  @Test
  void splitDealsOutTheRest() {
    Value x = input("x", "S", 7);
    Node split = graph.addNode("", "Split", "", List.of(x));
    split.setAttribute("axis", 1).setAttribute("num_outputs", 3);
    List<Value> parts = List.of(split.addOutput("a"), split.addOutput("b"), split.addOutput("c"));

    ShapeTable table = infer();

    assertThat(parts.stream().map(p -> table.shape(p).orElseThrow().get(1)).toList())
        .containsExactly(Dim.of(3), Dim.of(3), Dim.of(1));
  }

  // ---- subgraphs and functions ------------------------------------------------------------------

  @Test
  void branchesAreJoined() {
    Value condition = graph.addInput("condition", TensorType.of(DataType.BOOL));
    Value x = input("x", "B", 4);
    Node node = graph.addNode("", "If", "", List.of(condition));
    Graph yes = Graph.createSubgraph(graph, "yes");
    yes.addOutput(yes.append("Relu", x));
    Graph no = Graph.createSubgraph(graph, "no");
    Value doubled = no.append("Concat", x, x);
    doubled.producer().orElseThrow().setAttribute("axis", 1);
    no.addOutput(doubled);
    node.setAttribute("then_branch", new Attribute.GraphValue(yes));
    node.setAttribute("else_branch", new Attribute.GraphValue(no));
    Value result = node.addOutput("result");

    ShapeTable table = infer();

    assertThat(table.shape(doubled)).hasToString("Optional[[B, 8]]");
    List<Dim> dims = table.shape(result).orElseThrow();
    assertThat(dims.get(0)).isEqualTo(Dim.symbol("B"));
    assertThat(dims.get(1).isNamed()).isFalse();
  }

  @Test
  void aLoopKeepsWhatNoIterationChanges() {
    Value x = input("x", "B", 4);
    Value grown = input("grown", 0, 4);
    Value trips = graph.addInitializer("trips", Tensor.scalar(3));
    Node node = graph.addNode("", "Loop", "", List.of(trips));
    node.clearInput(1);
    node.setInput(2, x);
    node.setInput(3, grown);
    Graph body = Graph.createSubgraph(graph, "body");
    body.addInput("i");
    Value goOn = body.addInput("go");
    Value state = body.addInput("state");
    Value list = body.addInput("list");
    Value next = body.append("Relu", state);
    Value longer = body.append("Concat", list, next);
    longer.producer().orElseThrow().setAttribute("axis", 0);
    body.addOutput(goOn);
    body.addOutput(next);
    body.addOutput(longer);
    body.addOutput(next);
    node.setAttribute("body", new Attribute.GraphValue(body));
    Value last = node.addOutput("last");
    Value all = node.addOutput("all");
    Value stacked = node.addOutput("stacked");

    ShapeTable table = infer();

    assertThat(table.shape(last)).hasToString("Optional[[B, 4]]");
    assertThat(table.shape(stacked)).hasToString("Optional[[3, B, 4]]");
    assertThat(table.shape(all).orElseThrow().get(0).isNamed()).isFalse();
    assertThat(table.shape(all).orElseThrow().get(1)).isEqualTo(Dim.of(4));
    assertThat(table.unknowns()).isEmpty();
  }

  @Test
  void functionsAreFollowedCallByCall() {
    Function function = new Function("my", "Half", "");
    function.opsets().put("", 21L);
    function.attributeNames().add("axis");
    Graph body = function.body();
    Value in = body.addInput("in");
    Node split = body.addNode("", "Split", "", List.of(in));
    split.setAttribute("axis", new Attribute.Reference("axis", 2)).setAttribute("num_outputs", 2);
    Value half = split.addOutput("half");
    split.addOutput("rest");
    body.addOutput(half);
    model.functions().add(function);
    Value x = input("x", 8, "B");
    Value rows = callHalf(x, 0);
    Value again = callHalf(rows, 0);

    ShapeTable table = infer();

    assertThat(table.shape(rows)).hasToString("Optional[[4, B]]");
    assertThat(table.shape(again)).hasToString("Optional[[2, B]]");
    assertThat(table.shape(half).orElseThrow().get(0).isNamed()).isFalse();
    assertThat(table.shape(half).orElseThrow().get(1)).isEqualTo(Dim.symbol("B"));
  }

  private Value callHalf(Value value, long axis) {
    Node node = graph.addNode("my", "Half", "", List.of(value));
    node.setAttribute("axis", axis);
    return node.addOutput(graph.freshName("half"));
  }

  @Test
  void aFunctionThatCallsItselfEnds() {
    Function function = new Function("my", "Half", "");
    Value in = function.body().addInput("in");
    Node inner = function.body().addNode("my", "Half", "", List.of(in));
    function.body().addOutput(inner.addOutput("out"));
    model.functions().add(function);
    callHalf(input("x", 1), 0);

    assertThat(infer().unknowns()).isNotEmpty();
  }

  // ---- declarations and what is not known -------------------------------------------------------

  @Test
  void anUnknownOperatorIsNamedAndItsDeclarationUsed() {
    Value x = input("x", "B", 4);
    Node custom = graph.addNode("acme", "Mystery", "", List.of(x));
    Value lost = custom.addOutput("lost");
    Node declared = graph.addNode("acme", "Mystery", "", List.of(x));
    Value kept = declared.addOutput("kept");
    kept.setType(type("B", 7));
    Value after = graph.append("Relu", lost);

    ShapeTable table = infer();

    assertThat(table.shape(lost)).isEmpty();
    assertThat(table.shape(kept)).hasToString("Optional[[B, 7]]");
    assertThat(table.unknowns())
        .extracting(ShapeTable.Unknown::reason)
        .containsExactly(
            "there is no shape rule for operator acme.Mystery",
            "the rank of input 'lost' is not known");
    assertThat(table.shape(after)).isEmpty();
  }

  @Test
  void aNodeThatBreaksItsOperatorsRulesIsNamed() {
    Value x = input("x", "B", 4);
    Value fine = graph.append("Relu", x);
    Node turned = graph.addNode("", "Transpose", "turned", List.of(x));
    turned.setAttribute("perm", new Attribute.IntList(List.of(0L, 7L)));
    turned.addOutput("t").setType(type(4, "B"));
    Node joined = graph.addNode("", "Concat", "joined", List.of(x, fine));
    joined.setAttribute("axis", 5);
    joined.addOutput("c");

    ShapeTable table = infer();

    assertThat(table.invalid())
        .extracting(ShapeTable.Unknown::toString)
        .containsExactly(
            "Transpose 'turned': a tensor of rank 2 has no axis 7",
            "Concat 'joined': a tensor of rank 2 has no axis 5");
  }

  /** Elements that do not fill a shape are not followed: other code would read beyond them. */
  @Test
  void aReshapeThatLosesElementsIsInvalid() {
    Value numbers = graph.addConstant("numbers", Tensor.vector(1, 2, 3, 4));
    Value target = graph.addConstant("target", Tensor.vector(4, 2, 0));
    Node reshape = graph.addNode("", "Reshape", "lossy", List.of(numbers, target));
    reshape.setAttribute("allowzero", 1);
    Value lost = reshape.addOutput("lost");

    ShapeTable table = infer();

    assertThat(table.constant(lost)).isEmpty();
    assertThat(table.invalid())
        .extracting(ShapeTable.Unknown::node)
        .containsExactly(lost.producer().orElseThrow());
  }

  @Test
  void aWrongDeclarationGivesWay() {
    Value x = input("x", "B", 4);
    Value y = graph.append("Relu", x);
    y.setType(type("B", 5));

    ShapeTable table = infer();

    assertThat(table.shape(y)).hasToString("Optional[[B, 4]]");
    assertThat(table.contradictions())
        .hasToString("[%" + y.name() + " is [B, 4], but declared as [B, 5]]");
  }

  @Test
  void aMalformedNodeHasAReason() {
    graph
        .append("Transpose", input("x", 2, 3))
        .producer()
        .orElseThrow()
        .setAttribute("perm", longs(0, 7));
    graph.append("MatMul", input("a", 2, 3), input("b", 4, 5));
    graph.addNode("", "Gather", "", List.of()).addOutput("nothing");

    assertThat(infer().unknowns())
        .extracting(ShapeTable.Unknown::reason)
        .containsExactly(
            "a tensor of rank 2 has no axis 7",
            "shapes [2, 3] and [4, 5] do not multiply",
            "the rank of input 0, which is absent, is not known");
  }

  @Test
  void twoValuesOfUnknownSizeAreNotTakenForEqual() {
    Value x = graph.addInput("x", TensorType.of(DataType.BOOL, 4));
    Value a = graph.append("NonZero", x);
    Value b = graph.append("NonZero", graph.append("Not", x));

    ShapeTable table = infer();

    assertThat(table.shape(a).orElseThrow().get(1))
        .isNotEqualTo(table.shape(b).orElseThrow().get(1));
  }

  @Test
  void timeGrowsWithTheGraphAlone() {
    Value value = input("x", "B", 16);
    for (int i = 0; i < 12_500; i++) {
      Value shape = graph.append("Shape", value);
      Value target = concat(gather(shape, 0), ints(-1));
      value = graph.append("Reshape", value, target);
    }
    long start = System.nanoTime();

    ShapeTable table = infer();

    assertThat(table.shape(value)).hasToString("Optional[[B, 16]]");
    assertThat(System.nanoTime() - start).isLessThan(10_000_000_000L);
  }

  private static float scaleOf(int width) {
    float root = (float) Math.sqrt(width);
    return 1 / root;
  }

  // ---- building ---------------------------------------------------------------------------------

  private ShapeTable infer() {
    return ShapeInference.infer(model);
  }

  private Value input(String name, Object... dims) {
    return graph.addInput(name, type(dims));
  }

  private static TensorType type(Object... dims) {
    List<DeclaredDim> declared = new ArrayList<>();
    for (Object dim : dims) {
      declared.add(
          dim instanceof String name
              ? new DeclaredDim.Named(name)
              : new DeclaredDim.Fixed(((Number) dim).longValue()));
    }
    return new TensorType(DataType.FLOAT, Optional.of(declared));
  }

  private Value ints(long... elements) {
    return graph.addConstant("c", Tensor.vector(elements));
  }

  private Value floats(float... elements) {
    return graph.addConstant("c", Tensor.ofFloats(new long[] {elements.length}, elements));
  }

  private static Attribute longs(long... values) {
    return new Attribute.IntList(Arrays.stream(values).boxed().toList());
  }

  private static Value with(Value value, String attribute, long number) {
    value.producer().orElseThrow().setAttribute(attribute, number);
    return value;
  }

  private Value gather(Value shape, long index) {
    return graph.append("Gather", shape, ints(index));
  }

  private Value sizeOf(String symbol) {
    Value x = input(symbol.toLowerCase(java.util.Locale.ROOT) + graph.inputs().size(), symbol);
    return graph.append("Shape", x);
  }

  private Value slice(Value value, long start, long end) {
    return graph.append("Slice", value, ints(start), ints(end));
  }

  private Value sliceAt(Value value, long axis, Value start, Value end) {
    return graph.append("Slice", value, start, end, ints(axis));
  }

  private Value concat(Value... parts) {
    return with(graph.append("Concat", parts), "axis", 0);
  }
}
