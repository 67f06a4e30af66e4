package io.sparsedit.passes;

import static io.sparsedit.passes.SpelledGraph.BATCH;
import static io.sparsedit.passes.SpelledGraph.HEADS;
import static io.sparsedit.passes.SpelledGraph.HEAD_DIM;
import static io.sparsedit.passes.SpelledGraph.TEXT;
import static io.sparsedit.passes.SpelledGraph.VIDEO;
import static io.sparsedit.passes.SpelledGraph.WIDTH;
import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Where tokens come from, through everything that stands between inputs and attention. */
final class TokenOriginsTest {
  /**
   * A way of tokens.
   *
   * @param name for people
   * @param axis the axis that is asked about
   * @param build from the inputs to the value that is asked about
   * @param expected such as {@code video 24, text 5}
   */
  private record Way(String name, int axis, Function<SpelledGraph, Value> build, String expected) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static final String ALL = "video 24, text 5";

  static Stream<Way> ways() {
    List<Way> ways = new ArrayList<>();
    ways.add(new Way("patch embedding", 1, g -> g.tokens, "video 24"));
    ways.add(new Way("linear layer", 1, g -> g.linear(g.text), "text 5"));
    ways.add(new Way("heads", 2, g -> g.bhsd(g.tokens), "video 24"));
    ways.add(new Way("both in one sequence", 1, TokenOriginsTest::joined, ALL));
    ways.add(new Way("both behind a projection", 2, g -> g.bhsd(joined(g)), ALL));
    ways.add(
        new Way(
            "text cut off a joint sequence",
            1,
            g -> g.slice(joined(g), 1, -TEXT, Long.MAX_VALUE),
            "text 5"));
    ways.add(
        new Way(
            "video cut off a joint sequence", 1, g -> g.slice(joined(g), 1, 0, VIDEO), "video 24"));
    ways.add(new Way("a part of both", 1, g -> g.slice(joined(g), 1, 20, 26), "video 4, text 2"));
    ways.add(
        new Way(
            "split",
            1,
            g -> {
              Value first = g.node("Split", List.of(joined(g), g.longs(VIDEO, TEXT)), "axis", 1);
              return first.producer().orElseThrow().addOutput("rest");
            },
            "text 5"));
    ways.add(
        new Way(
            "Gemm over folded tokens",
            1,
            g ->
                g.reshape(
                    g.op("Gemm", g.reshape(g.tokens, -1, WIDTH), g.weight(WIDTH, WIDTH)),
                    BATCH,
                    VIDEO,
                    WIDTH),
            "video 24"));
    ways.add(
        new Way(
            "Einsum",
            2,
            g -> g.einsum("bsc,hcd->bhsd", joined(g), g.weight(HEADS, WIDTH, 3)),
            ALL));
    ways.add(
        new Way(
            "attention: its queries' tokens",
            2,
            g ->
                g.op(
                    "MatMul",
                    g.softmax(g.scores(g.bhsd(g.text), g.bhsd(g.tokens))),
                    g.bhsd(g.tokens)),
            "text 5"));
    ways.add(
        new Way(
            "fused attention: its queries' tokens",
            1,
            g ->
                g.node(
                    "com.microsoft.MultiHeadAttention",
                    List.of(g.linear(g.tokens), g.linear(g.text), g.linear(g.text)),
                    "num_heads",
                    HEADS),
            "video 24"));
    ways.add(
        new Way(
            "embeddings added",
            1,
            g -> g.op("Add", g.tokens, g.weight(1, VIDEO, WIDTH)),
            "video 24"));
    ways.add(
        new Way(
            "a norm by tokens of text",
            1,
            g ->
                g.op(
                    "Mul", g.tokens, g.node("ReduceMean", List.of(g.text), "axes", new long[] {1})),
            "video 24"));
    ways.add(
        new Way(
            "registers in front",
            1,
            g -> g.concat(1, g.weight(BATCH, 3, WIDTH), g.tokens),
            "learned 3, video 24"));
    ways.add(
        new Way(
            "picked tokens",
            1,
            g -> g.node("Gather", List.of(g.tokens, g.longs(3, 1, 2)), "axis", 1),
            "video 3"));
    ways.add(
        new Way(
            "batch and heads folded",
            1,
            g -> g.reshape(g.bhsd(g.tokens), BATCH * HEADS, VIDEO, HEAD_DIM),
            "video 24"));
    ways.add(
        new Way(
            "padded", 1, g -> g.op("Pad", g.text, g.longs(0, 0, 0, 0, 2, 0)), "text 5, learned 2"));
    return ways.stream();
  }

  private static Value joined(SpelledGraph g) {
    return g.concat(1, g.tokens, g.text);
  }

  @ParameterizedTest
  @MethodSource("ways")
  void areFollowed(Way way) {
    Value[] asked = new Value[1];
    SpelledGraph g =
        SpelledGraph.bare(
            17,
            s -> {
              asked[0] = way.build().apply(s);
              return s.op("Neg", asked[0]);
            });
    Model model = g.model();
    ValueFacts facts = ShapeInference.infer(model);
    TokenOrigins origins = new TokenOrigins(new DataFlow(model.graph(), facts), facts);

    String found =
        origins.of(asked[0], way.axis()).stream()
            .map(TokenOriginsTest::describe)
            .collect(Collectors.joining(", "));

    assertThat(found).isEqualTo(way.expected());
  }

  private static String describe(TokenOrigins.Segment segment) {
    String inputs =
        segment.inputs().stream().map(Value::name).sorted().collect(Collectors.joining("+"));
    return (inputs.isEmpty() ? "learned" : inputs) + " " + segment.tokens();
  }
}
