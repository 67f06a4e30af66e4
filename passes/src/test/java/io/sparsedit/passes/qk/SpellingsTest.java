package io.sparsedit.passes.qk;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Norm and RoPE are found in random spellings, and stay what they are when they are replaced. */
final class SpellingsTest {
  /** ONNX Runtime fuses a spelled-out layer norm into an operator whose variance is less exact. */
  private static final double TOLERANCE = 5e-5;

  @Test
  void hundredSpellings() {
    check(0, 100);
  }

  @Test
  @Tag("slow")
  void thousandSpellings() {
    check(1000, 2000);
  }

  private static void check(int from, int to) {
    for (int seed = from; seed < to; seed++) {
      SpelledGraph graph = new SpelledGraph(seed);
      CutOut cutOut = new CutOut(graph.model(), Map.of());
      QkPreparation found = cutOut.preparation(0);

      assertThat(SpelledGraph.describe(found.query()))
          .as("q of seed %d", seed)
          .isEqualTo(graph.plantedQuery());
      assertThat(SpelledGraph.describe(found.key()))
          .as("k of seed %d", seed)
          .isEqualTo(graph.plantedKey());
      List<CutOut.Pair> pairs = cutOut.run();
      assertThat(cutOut.replacedSites()).as("seed %d", seed).isEqualTo(cutOut.preparedSites());
      for (CutOut.Pair pair : pairs) {
        assertThat(pair.error()).as("%s, seed %d", pair.what(), seed).isLessThan(TOLERANCE);
      }
    }
  }
}
