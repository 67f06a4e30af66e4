package io.sparsedit.passes;

import static io.sparsedit.passes.SpelledGraph.TEXT;
import static io.sparsedit.passes.SpelledGraph.VIDEO;
import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/** Attention whose keys are not the tokens of its queries, or not in their order. */
final class KeyOrderTest {
  private static List<Site> sites(Function<SpelledGraph, Value> attention) {
    Model model = SpelledGraph.of(17, attention).model();
    Compilation compilation = RecognisedModel.recognise(model);
    return compilation.sites();
  }

  private static Value attend(SpelledGraph g, Value queries, Value keys) {
    Value p = g.softmax(g.scores(g.bhsd(queries), g.bhsd(keys)));
    return g.merged(g.op("MatMul", p, g.bhsd(keys)));
  }

  private static Value textFirst(SpelledGraph g) {
    return g.concat(1, g.text, g.tokens);
  }

  private static Value textLast(SpelledGraph g) {
    return g.concat(1, g.tokens, g.text);
  }

  @Test
  void oneOrderIsSparse() {
    List<Site> sites =
        sites(g -> g.slice(attend(g, textFirst(g), textFirst(g)), 1, TEXT, TEXT + VIDEO));

    assertThat(sites).singleElement().satisfies(site -> assertThat(site.sparsify()).isTrue());
  }

  @Test
  void textBeforeQueriesAndBehindKeysIsDense() {
    List<Site> sites =
        sites(g -> g.slice(attend(g, textFirst(g), textLast(g)), 1, TEXT, TEXT + VIDEO));

    assertThat(sites)
        .singleElement()
        .satisfies(
            site ->
                assertThat(site.reason())
                    .isEqualTo(
                        "its keys are in another order (video 24, text 5) than its queries (text 5,"
                            + " video 24)"));
  }

  @Test
  void textThatIsAsLongAsTheVideo() {
    List<Site> sites =
        sites(
            g -> {
              Value text = g.input("prompt", SpelledGraph.BATCH, VIDEO, SpelledGraph.WIDTH);
              return attend(g, g.tokens, text);
            });
    assertThat(sites)
        .singleElement()
        .satisfies(site -> assertThat(site.reason()).isEqualTo("cross-attention stays dense"));
  }

  @Test
  void queriesThatAreAPartOfTheVideo() {
    List<Site> sites =
        sites(
            g -> {
              Value first = attend(g, g.slice(g.tokens, 1, 0, VIDEO / 2), g.tokens);
              return g.concat(1, first, first);
            });
    assertThat(sites).singleElement().satisfies(site -> assertThat(site.sparsify()).isFalse());
  }

  @Test
  void queriesFromOneHalfAndKeysFromTheOther() {
    List<Site> sites =
        sites(
            g -> {
              Value a = g.slice(g.tokens, 1, 0, VIDEO / 2);
              Value b = g.slice(g.tokens, 1, VIDEO / 2, VIDEO);
              return g.concat(1, attend(g, a, b), attend(g, b, a));
            });
    assertThat(sites).hasSize(2).noneMatch(Site::sparsify);
  }
}
