package io.sparsedit.compiler.rules;

import static io.sparsedit.compiler.rules.RuleAssert.assertMatch;
import static io.sparsedit.compiler.rules.RuleAssert.assertRule;
import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.TensorType;
import io.sparsedit.compiler.rules.match.Datum;
import io.sparsedit.compiler.rules.match.Externs;
import io.sparsedit.compiler.rules.match.Match;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Each feature of a rule's match and where parts, on the smallest graph that shows it. */
class MatchingTest {
  private static Value input(Graph graph, String name, long... dims) {
    return graph.addInput(name, TensorType.of(DataType.FLOAT, dims));
  }

  private static Node node(Value value) {
    return value.producer().orElseThrow();
  }

  private static Value scalar(Graph graph, float number) {
    return graph.addConstant("c", Tensor.scalar(number));
  }

  /** One operator on x, as the graph's output. */
  private static Consumer<Graph> unary(String op) {
    return g -> g.addOutput(g.append(op, input(g, "x", 2, 3)));
  }

  // ---- structure --------------------------------------------------------------------------------

  @Test
  void operatorMustBeTheSame() {
    assertMatch("y = Relu(x); out = Neg(y);")
        .on(g -> g.addOutput(g.append("Neg", g.append("Abs", input(g, "x")))))
        .doesNotMatch("expected Relu, found Abs -> %Abs");
  }

  @Test
  void reasonNamesAllAlternativesAndTheLine() {
    assertMatch("y = Relu(x) #a | Exp(x) #b | Log(x) #c; out = Neg(y);")
        .on(g -> g.addOutput(g.append("Neg", g.append("Abs", input(g, "x")))))
        .doesNotMatch(
            "test at Neg -> %Neg: expected Relu, Exp or Log, found Abs -> %Abs (test.rules:1, 1"
                + " node matched)");
  }

  @Test
  void aNameIsOneValue() {
    Consumer<Graph> square = g -> g.addOutput(g.append("Mul", input(g, "x"), g.inputs().get(0)));
    Consumer<Graph> product = g -> g.addOutput(g.append("Mul", input(g, "x"), input(g, "y")));
    assertMatch("out = Mul(x, x);").on(square).matches();
    assertMatch("out = Mul(x, x);")
        .on(product)
        .doesNotMatch("'x' stands for input %x and cannot stand for input %y too");
  }

  @Test
  void commutativeOperatorsTryEveryOrder() {
    Consumer<Graph> graph =
        g -> g.addOutput(g.append("Add", input(g, "x"), g.append("Relu", input(g, "y"))));
    assertMatch("out = Add~(Relu(y), x);").on(graph).matches();
    assertMatch("out = Add(Relu(y), x);").on(graph).doesNotMatch("expected Relu, found input %x");
  }

  @Test
  void commutativeOrdersAreTriedTogether() {
    // (a * relu) + (relu' * b): both products must be turned, and only one assignment fits.
    assertMatch("p = Mul~(Relu(a), b); q = Mul~(Relu(b), a); out = Add~(p, q);")
        .on(
            g -> {
              Value a = input(g, "a");
              Value b = input(g, "b");
              Value p = g.append("Mul", a, g.append("Relu", b));
              Value q = g.append("Mul", b, g.append("Relu", a));
              g.addOutput(g.append("Add", p, q));
            })
        .matches();
  }

  @Test
  void constantScalarFromEitherSide() {
    Match match =
        assertMatch("out = Mul~(x, c: const scalar);")
            .on(g -> g.addOutput(g.append("Mul", scalar(g, 0.5f), input(g, "x"))))
            .matches();
    assertThat(match.requiredNumber("c")).isEqualTo(0.5);
    assertThat(match.requiredValue("x").name()).isEqualTo("x");
    assertMatch("out = Mul~(x, c: const scalar);")
        .on(g -> g.addOutput(g.append("Mul", input(g, "y"), input(g, "x"))))
        .doesNotMatch("expected a constant scalar, found input");
  }

  @Test
  void numbersMatchUpToTheRoundingOfTheirType() {
    Consumer<Graph> half =
        g -> {
          Tensor tenth =
              Tensor.raw(
                  DataType.FLOAT16,
                  new long[] {1},
                  java.nio.ByteBuffer.wrap(new byte[] {0x66, 0x2e}));
          g.addOutput(g.append("Mul", input(g, "x"), g.addConstant("c", tenth)));
        };
    assertMatch("out = Mul~(x, 0.1);").on(half).matches();
    assertMatch("out = Mul~(x, 0.1);")
        .on(g -> g.addOutput(g.append("Mul", input(g, "x"), scalar(g, 0.1001f))))
        .doesNotMatch("expected the constant 0.1");
    assertMatch("out = Mul~(x, -inf);")
        .on(g -> g.addOutput(g.append("Mul", input(g, "x"), scalar(g, Float.NEGATIVE_INFINITY))))
        .matches();
  }

  @Test
  void optionalOperatorMayBeMissing() {
    String rule = "y = opt Cast(x) { to = f32 }; out = Relu(y);";
    Match without = assertMatch(rule).on(unary("Relu")).matches();
    assertThat(without.requiredValue("y").name()).isEqualTo("x");
    Match with =
        assertMatch(rule)
            .on(
                g -> {
                  Value cast = g.append("Cast", input(g, "x"));
                  node(cast).setAttribute("to", 1L);
                  g.addOutput(g.append("Relu", cast));
                })
            .matches();
    assertThat(with.requiredValue("x").name()).isEqualTo("x");
    assertThat(with.nodes()).hasSize(2);
  }

  @Test
  void optionalOperatorIsPresentOrAbsent() {
    String rule =
        "rule test { match { y = opt Cast(x); out = Relu(y); } where { y is absent else \"cast\"; } }";
    assertRule(rule).on(unary("Relu")).matches();
    // Matching without the operator is a way to meet the condition, too: y is then the cast itself.
    Match match =
        assertRule(rule)
            .on(g -> g.addOutput(g.append("Relu", g.append("Cast", input(g, "x")))))
            .matches();
    assertThat(match.requiredValue("x").name()).isEqualTo("Cast");
  }

  @Test
  void repetitionSkipsAnyNumberOfLayers() {
    String rule =
        "pattern noise(x) = Cast(x) | CastLike(x, _) | Identity(x);"
            + "rule test { match { y = opt* noise(x); out = Relu(y); } }";
    for (int layers = 0; layers < 4; layers++) {
      int count = layers;
      Match match =
          assertRule(rule)
              .on(
                  g -> {
                    Value value = g.append("Exp", input(g, "x"));
                    for (int i = 0; i < count; i++) {
                      value =
                          i % 2 == 0
                              ? g.append("Identity", value)
                              : g.append("CastLike", value, g.inputs().get(0));
                    }
                    g.addOutput(g.append("Relu", value));
                  })
              .matches();
      assertThat(match.requiredValue("x").name()).isEqualTo("Exp");
      assertThat(match.nodes()).hasSize(1 + layers);
    }
  }

  @Test
  void repetitionGivesLayersBack() {
    assertMatch("y = opt* Identity(x); out = Add(y, x);")
        .on(
            g -> {
              Value relu = g.append("Relu", input(g, "w"));
              Value one = g.append("Identity", relu);
              Value two = g.append("Identity", one);
              g.addOutput(g.append("Add", two, one));
            })
        .matches();
  }

  @Test
  void alternativesBearTags() {
    String rule =
        "rule test { match { y = Mul~(x, c: const scalar) #mul | Div(x, c: const scalar) #div"
            + " | x #one; out = Relu(y); } let s = case y { #mul => c, #div => 1 / c, #one => 1 }; }";
    Match divided =
        assertRule(rule)
            .on(g -> g.addOutput(g.append("Relu", g.append("Div", input(g, "x"), scalar(g, 4)))))
            .matches();
    assertThat(divided.tags("y")).containsExactly("div");
    assertThat(divided.requiredNumber("s")).isEqualTo(0.25);
    Match plain = assertRule(rule).on(unary("Relu")).matches();
    assertThat(plain.datum("s")).contains(Datum.of(1));
    assertThat(plain.datum("c")).isEmpty();
  }

  @Test
  void withGivesEveryAlternativeItsNumber() {
    String rule =
        "pattern scaled(x, s) = Mul~(x, s: const scalar) | Div(x, d: const scalar) with s = 1 / d"
            + " | x with s = 1;"
            + "rule test { match { y = scaled(x, a); z = Relu(y); n = scaled(z, b); out = Neg(n); }"
            + " where { a * b != 7; } let s = a * b; }";
    Match match =
        assertRule(rule)
            .on(
                g -> {
                  Value y = g.append("Div", input(g, "x"), scalar(g, 4));
                  Value z = g.append("Mul", scalar(g, 3), g.append("Relu", y));
                  g.addOutput(g.append("Neg", z));
                })
            .matches();
    assertThat(match.requiredNumber("s")).isEqualTo(0.75);
  }

  @Test
  void alternativeMayBeAPieceOfSeveralStatements() {
    String rule =
        "y = { a = Exp(x); s = ReduceSum(a, _?); d = Div(a, s); } #spelled | Softmax(x) #native;"
            + "out = Neg(y);";
    Match spelled =
        assertMatch(rule)
            .on(
                g -> {
                  Value a = g.append("Exp", input(g, "x"));
                  g.addOutput(g.append("Neg", g.append("Div", a, g.append("ReduceSum", a))));
                })
            .matches();
    assertThat(spelled.tags("y")).containsExactly("spelled");
    assertMatch(rule)
        .on(
            g -> {
              Value a = g.append("Exp", input(g, "x"));
              Value b = g.append("Exp", g.inputs().get(0));
              g.addOutput(g.append("Neg", g.append("Div", a, g.append("ReduceSum", b))));
            })
        .doesNotMatch("");
  }

  @Test
  void patternsNestAndTakePatterns() {
    String rule =
        "pattern silu(x) = Mul~(x, Sigmoid(x));"
            + "pattern gated(x, y) = Mul~(silu(x), y);"
            + "rule test { match { out = gated(Relu(a), b); } }";
    assertRule(rule)
        .on(
            g -> {
              Value x = g.append("Relu", input(g, "a"));
              Value silu = g.append("Mul", g.append("Sigmoid", x), x);
              g.addOutput(g.append("Mul", input(g, "b"), silu));
            })
        .matches();
  }

  @Test
  void operatorMayHaveSeveralOutputs() {
    Consumer<Graph> graph =
        g -> {
          Node split = g.addNode("", "Split", "", List.of(input(g, "x")));
          split.setAttribute("num_outputs", 2L);
          Value a = split.addOutput("a");
          Value b = split.addOutput("b");
          g.addOutput(g.append("Sub", b, a));
        };
    assertMatch("a, b = Split(x); out = Sub(b, a);").on(graph).matches();
    assertMatch("a, b = Split(x); out = Sub(a, b);").on(graph).doesNotMatch("is not output");
    assertMatch("a = Split(x); out = Sub(_, a);")
        .on(graph)
        .doesNotMatch("output 1 of Split -> %a is read, and the rule does not name it");
  }

  @Test
  void furtherInputsMayStandAround() {
    Consumer<Graph> graph =
        g -> {
          Value cat =
              g.append("Concat", input(g, "a"), g.append("Relu", input(g, "b")), input(g, "c"));
          node(cat).setAttribute("axis", 0L);
          g.addOutput(cat);
        };
    assertMatch("out = Concat(..., Relu(x), ...);").on(graph).matches();
    assertMatch("out = Concat(..., Relu(x), y);").on(graph).matches();
    assertMatch("out = Concat(x, ...);").on(graph).matches();
    assertMatch("out = Concat(x, y);").on(graph).doesNotMatch("has 3 inputs, the rule names 2");
    assertMatch("out = Concat(..., Relu(x));")
        .on(graph)
        .doesNotMatch("expected Relu, found input %c");
  }

  @Test
  void inputsMayBeOptional() {
    String rule =
        "rule test { match { out = Clip(x, low?, high?); }"
            + " where { low is absent else \"there is a lower bound\"; high?: [] f32; } }";
    assertRule(rule)
        .on(
            g -> {
              Node clip = g.addNode("", "Clip", "", List.of(input(g, "x")));
              clip.clearInput(1);
              clip.setInput(2, scalar(g, 1));
              g.addOutput(clip.addOutput("y"));
            })
        .matches();
    assertRule(rule)
        .on(g -> g.addOutput(g.append("Clip", input(g, "x"), scalar(g, 0))))
        .doesNotMatch("there is a lower bound");
  }

  @Test
  void constantsAndGraphInputs() {
    Consumer<Graph> graph =
        g ->
            g.addOutput(g.append("MatMul", input(g, "x"), g.addConstant("w", Tensor.vector(1, 2))));
    assertMatch("out = MatMul(x: graph_input, w: const);").on(graph).matches();
    assertMatch("out = MatMul(x: const, w);").on(graph).doesNotMatch("expected a constant");
    assertMatch("out = MatMul(x, w: graph_input);")
        .on(graph)
        .doesNotMatch("expected a graph input");
    assertMatch("out = MatMul(x, w: const scalar);").on(graph).doesNotMatch("a constant scalar");
  }

  // ---- attributes -------------------------------------------------------------------------------

  @Test
  void absentAttributeIsTheDefault() {
    assertMatch("out = Softmax(x) { axis = -1 };").on(unary("Softmax")).matches();
    assertMatch("out = Softmax(x) { axis = 0 };")
        .on(unary("Softmax"))
        .doesNotMatch("attribute 'axis' is -1, not 0");
    assertMatch("out = Softmax(x) { !axis };").on(unary("Softmax")).matches();
    Match match = assertMatch("out = Softmax(x) { axis: a };").on(unary("Softmax")).matches();
    assertThat(match.datum("a")).contains(Datum.of(-1));
  }

  @Test
  void axisCountsFromEitherEnd() {
    Consumer<Graph> last =
        g -> {
          Value y = g.append("Softmax", input(g, "x", 2, 3));
          node(y).setAttribute("axis", 1L);
          g.addOutput(y);
        };
    assertMatch("out = Softmax(x) { axis = -1 };").on(last).matches();
    assertMatch("out = Softmax(x) { axis in [0, 5] };").on(last).doesNotMatch("not one of [0, 5]");
  }

  @Test
  void absentPermutationReverses() {
    assertMatch("out = Transpose(x) { perm = [1, 0] };").on(unary("Transpose")).matches();
    assertMatch("out = Transpose(x) { perm = [0, 1] };")
        .on(unary("Transpose"))
        .doesNotMatch("attribute 'perm' is [1, 0], not [0, 1]");
  }

  @Test
  void attributesOfOtherDomains() {
    Consumer<Graph> graph =
        g -> {
          Node node = g.addNode("com.microsoft", "Gelu", "", List.of(input(g, "x")));
          node.setAttribute("mode", "fast").setAttribute("bound", 0.3f);
          g.addOutput(node.addOutput("y"));
        };
    assertMatch("out = com.microsoft.Gelu(x) { mode = \"fast\", bound = 0.3 };")
        .on(graph)
        .matches();
    assertMatch("out = Gelu(x);").on(graph).doesNotMatch("not tried");
  }

  @Test
  void optionalAttributeHasADefaultInTheRule() {
    String rule =
        "rule test { match { out = Attention(q, k, v) { scale: s }; } let t = default(s, 0.125); }";
    Consumer<Graph> graph =
        g -> g.addOutput(g.append("Attention", input(g, "q"), input(g, "k"), input(g, "v")));
    assertThat(assertRule(rule).on(graph).matches().requiredNumber("t")).isEqualTo(0.125);
    Match match =
        assertRule(rule)
            .on(graph.andThen(g -> g.nodes().iterator().next().setAttribute("scale", 0.5f)))
            .matches();
    assertThat(match.requiredNumber("t")).isEqualTo(0.5);
  }

  // ---- conditions -------------------------------------------------------------------------------

  private static final String SHAPES =
      "rule test { match { out = MatMul(x, y); } where { x: [..., M, K] f32 else \"x is odd\";"
          + " y: [..., K, N?] f16 | f32 else \"y does not fit x\"; M * 2 > K - 1; } }";

  private static Consumer<Graph> matMul(long[] left, long... right) {
    return g -> g.addOutput(g.append("MatMul", input(g, "x", left), input(g, "y", right)));
  }

  @Test
  void shapesAreUnified() {
    Match match = assertRule(SHAPES).on(matMul(new long[] {7, 2, 3}, 3, 5)).matches();
    assertThat(match.requiredNumber("M")).isEqualTo(2);
    assertThat(match.requiredNumber("N")).isEqualTo(5);
    assertRule(SHAPES)
        .on(matMul(new long[] {7, 2, 3}, 4, 5))
        .doesNotMatch("y does not fit x: %y is f32[4, 5], where K = 3");
    assertRule(SHAPES).on(matMul(new long[] {3}, 4)).doesNotMatch("x is odd: %x is f32[3]");
    assertRule(SHAPES)
        .on(matMul(new long[] {1, 3}, 3, 5))
        .doesNotMatch("'M * 2 > K - 1' does not hold: with M = 1, K = 3");
  }

  @Test
  void symbolicDimensionsAreEqualIfTheyAreTheSameExpression() {
    Consumer<Graph> graph =
        g -> {
          Value x = g.addInput("x");
          Value y = g.addInput("y");
          for (Value value : List.of(x, y)) {
            value.setType(
                new TensorType(
                    DataType.FLOAT, Optional.of(List.of(new ValueType.DeclaredDim.Named("2*n")))));
          }
          g.addOutput(g.append("Add", x, y));
        };
    Match match =
        assertRule(
                "rule test { match { out = Add(x, y); } where { x: [N]; y: [M]; N == M; not known(N);"
                    + " } let double = N * 2 + M; }")
            .on(graph)
            .matches();
    assertThat(match.symbolicDim("double").orElseThrow().toString()).isEqualTo("6*n");
    assertRule("rule test { match { out = Add(x, y); } where { x: [N]; N > 4 else \"few\"; } }")
        .on(graph)
        .doesNotMatch("few: '>' needs a number, the dimension is 2*n");
  }

  @Test
  void whenAppliesConditionsToSomeMatches() {
    String rule =
        "rule test { match { y = Relu(x) #relu | Exp(x) #exp; out = Neg(y); }"
            + " where { when y is #relu { x: [A]; } else { x: [A, _] else \"not a matrix\"; }"
            + " A == 2; } }";
    Consumer<Graph> relu = g -> g.addOutput(g.append("Neg", g.append("Relu", input(g, "x", 2))));
    Consumer<Graph> exp = g -> g.addOutput(g.append("Neg", g.append("Exp", input(g, "x", 2))));
    assertRule(rule).on(relu).matches();
    assertRule(rule).on(exp).doesNotMatch("not a matrix: %x is f32[2]");
  }

  @Test
  void failedConditionsTryOtherStructures() {
    Match match =
        assertRule("rule test { match { out = Mul~(x, y); } where { x: [2]; y: [3]; } }")
            .on(g -> g.addOutput(g.append("Mul", input(g, "a", 3), input(g, "b", 2))))
            .matches();
    assertThat(match.requiredValue("x").name()).isEqualTo("b");
  }

  @Test
  void externsAreCalled() {
    Externs externs =
        Externs.builder()
            .predicate(
                "short_name",
                a ->
                    a.value(0).name().length() <= a.number(1)
                        ? Optional.empty()
                        : Optional.of("'" + a.value(0).name() + "' is long"))
            .function("twice", a -> Optional.of(Datum.of(2 * a.number(0))))
            .build();
    String rule =
        "extern predicate short_name(x: value, length: number); extern function twice(x: number);"
            + "rule test { match { out = Relu(x); } where { short_name(x, twice(1)) else \"no\"; } }";
    assertRule(rule, externs).on(unary("Relu")).matches();
    assertRule(rule, externs)
        .on(g -> g.addOutput(g.append("Relu", input(g, "long"))))
        .doesNotMatch("no: 'long' is long");
  }

  @Test
  void builtInFunctions() {
    assertRule(
            "rule test { match { out = Relu(x); } where { rank(x) == 2; dtype(x) == f32; dtype(x) in"
                + " [f16, f32]; dim(x, -1) == 3; dim(x, 0) == 2; sqrt(16) == 4; approx(1, 1.01, 0.1);"
                + " not approx(1, 1.01); max(2, 3) == 3; min(2, 3) + abs(-1) == 3; 7 % 4 == 3;"
                + " exp(log(2)) == 2; real(2) == 2; -2 < 1 and (1 > 2 or 2 > 1); } }")
        .on(unary("Relu"))
        .matches();
    assertRule(
            "rule test { match { out = Gather(x, i: const); } where { elements(i) == [1, 2]; } }")
        .on(
            g ->
                g.addOutput(
                    g.append("Gather", input(g, "x"), g.addConstant("i", Tensor.vector(1, 2)))))
        .matches();
  }

  // ---- which match ------------------------------------------------------------------------------

  @Test
  void opsetBoundsARule() {
    String rule = "rule test { opset ai.onnx >= 18; opset ai.onnx < 20; match { out = Relu(x); } }";
    assertRule(rule).on(unary("Relu")).opset(18).matches();
    assertThat(assertRule(rule).on(unary("Relu")).opset(17).all()).isEmpty();
    assertThat(assertRule(rule).on(unary("Relu")).opset(20).all()).isEmpty();
  }

  @Test
  void largerBenefitWinsThenDeclaration() {
    String rules =
        "rule first { match { out = Neg(x); } } rule second { match { out = Neg(y); } }"
            + "rule larger { match { y = Exp(x); out = Neg(y); } }";
    Consumer<Graph> graph = g -> g.addOutput(g.append("Neg", g.append("Exp", input(g, "x"))));
    assertThat(assertRule(rules).on(graph).matches().rule().name()).isEqualTo("larger");
    assertThat(assertRule(rules).on(unary("Neg")).matches().rule().name()).isEqualTo("first");
    assertThat(
            assertRule(rules.replace("rule second {", "rule second { benefit 9; "))
                .on(graph)
                .matches()
                .rule()
                .name())
        .isEqualTo("second");
  }

  @Test
  void rewritesDoNotOverlap() {
    String rules =
        "rule pair { match { y = Neg(x); out = Neg(y); } rewrite { out = Identity(x); } }";
    List<Match> matches =
        assertRule(rules)
            .on(
                g -> {
                  Value value = input(g, "x");
                  for (int i = 0; i < 5; i++) {
                    value = g.append("Neg", value);
                  }
                  g.addOutput(value);
                })
            .all();
    assertThat(matches).hasSize(2);
    assertThat(matches.get(0).root().output().name()).isEqualTo("Neg_0");
  }

  @Test
  void interiorValuesMustNotEscape() {
    String rule = "rule test { %s match { y = Exp(x); out = Neg(y); } rewrite { out = Abs(x); } }";
    Consumer<Graph> graph =
        g -> {
          Value y = g.append("Exp", input(g, "x"));
          g.addOutput(g.append("Neg", y));
          g.addOutput(g.append("Relu", y));
        };
    assertRule(String.format(rule, ""))
        .on(graph)
        .doesNotMatch("%Exp of Exp -> %Exp is also read by Relu -> %Relu");
    assertRule(String.format(rule, "keep y;")).on(graph).matches();
    assertRule(String.format(rule, ""))
        .on(graph.andThen(g -> g.setOutput(1, g.outputs().get(0))).andThen(Graph::removeDeadNodes))
        .matches();
    assertRule(String.format(rule, ""))
        .on(
            g -> {
              Value y = g.append("Exp", input(g, "x"));
              g.addOutput(g.append("Neg", y));
              g.addOutput(y);
            })
        .doesNotMatch("is a graph output");
  }

  @Test
  void subgraphAttributesAreNotRead() {
    assertMatch("out = Constant() { value: v };")
        .on(
            g -> {
              Value c = g.append("Constant");
              node(c).setAttribute("value", new Attribute.TensorValue(Tensor.scalar(1)));
              g.addOutput(c);
            })
        .doesNotMatch("attribute 'value' is not a number, string or list");
  }

  // ---- limits -----------------------------------------------------------------------------------

  @Test
  void deepGraphsAreMatchedWithoutRecursion() {
    assertMatch("y = opt* Identity(x); out = Relu(y);")
        .on(
            g -> {
              Value value = input(g, "x");
              for (int i = 0; i < 15_000; i++) {
                value = g.append("Identity", value);
              }
              g.addOutput(g.append("Relu", value));
            })
        .matches();
  }

  @Test
  void hopelessSearchesAreGivenUp() {
    StringBuilder statements = new StringBuilder("x0 = Relu(z);");
    for (int i = 1; i <= 24; i++) {
      statements.append(
          String.format("x%d = Add~((Neg(x%d) | Exp(x%d) | x%d), _);", i, i - 1, i - 1, i - 1));
    }
    statements.append("out = Abs(x24);");
    RuleAssert hopeless =
        assertMatch(statements.toString())
            .on(
                g -> {
                  Value value = input(g, "x");
                  for (int i = 0; i < 40; i++) {
                    value = g.append("Add", g.append("Neg", value), value);
                  }
                  g.addOutput(g.append("Abs", value));
                });
    hopeless.doesNotMatch("given up after 50000 steps");
    assertThat(hopeless.engine().trace().stats().get(0).abandoned()).isEqualTo(1);
  }
}
