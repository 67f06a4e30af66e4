package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class Svg2SettingsTest {
  /**
   * Tokens of a query and of a key cluster: few in short videos, about the published in long ones.
   */
  @ParameterizedTest
  @CsvSource({
    "20, 2, 8",
    "192, 3, 12",
    "2048, 32, 128",
    "4096, 64, 256",
    "6400, 100, 400",
    "8000, 100, 500",
    "25600, 100, 500",
    "32760, 127, 511",
    "75600, 295, 1000",
    "118800, 400, 1000"
  })
  void clustersFollowTheNumberOfTokens(long tokens, int query, int key) {
    assertThat(Svg2Settings.DEFAULT.clustersFor(tokens))
        .isEqualTo(new Svg2Settings.Clusters(query, key));
  }
}
