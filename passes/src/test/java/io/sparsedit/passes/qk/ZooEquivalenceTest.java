package io.sparsedit.passes.qk;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.passes.ZooGraphs;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** In every graph of {@code testdata/zoo} Q and K stay what they are when they are replaced. */
final class ZooEquivalenceTest {
  private static final double F32_TOLERANCE = 1e-5;
  private static final double F16_TOLERANCE = 2e-3;

  /** Sizes that differ from the traced ones where the graph leaves them open. */
  private static final Map<String, Map<String, Long>> SIZES =
      Map.of(
          "cogvideox_5b-ts17-dynamic", Map.of("B", 2L, "F", 3L, "H", 8L, "W", 6L, "S", 36L),
          "flux-dynamo20-dynamic", Map.of("s2", 1L, "s87", 35L, "s31", 7L, "s29", 7L, "s96", 35L),
          "hunyuanvideo-dynamo23-dynamic",
              Map.of("s2", 2L, "s33", 3L, "s20", 8L, "s66", 6L, "s31", 11L),
          "wan21_t2v-dynamo23-dynamic",
              Map.of("s47", 2L, "s33", 3L, "s20", 8L, "s66", 6L, "s31", 11L),
          "wan21_t2v-ts17-eager", Map.of("B", 2L, "F", 4L, "H", 16L, "W", 12L, "T", 24L));

  @TempDir private static Path folder;

  static Stream<String> names() {
    return ZooGraphs.names().stream();
  }

  @ParameterizedTest
  @MethodSource("names")
  void queriesAndKeysAgree(String name) {
    Map<String, Long> sizes = SIZES.getOrDefault(name, Map.of());
    CutOut cutOut = new CutOut(OnnxReader.read(ZooGraphs.model(name, folder)), sizes);

    List<CutOut.Pair> pairs = cutOut.run();

    assertThat(cutOut.replacedSites()).containsExactlyElementsOf(cutOut.preparedSites());
    double tolerance = name.endsWith("fp16") ? F16_TOLERANCE : F32_TOLERANCE;
    for (CutOut.Pair pair : pairs) {
      assertThat(pair.error()).as(pair.what()).isLessThan(tolerance);
    }
  }
}
