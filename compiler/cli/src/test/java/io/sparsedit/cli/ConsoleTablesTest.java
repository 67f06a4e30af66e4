package io.sparsedit.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ConsoleTablesTest {
  @ParameterizedTest
  @CsvSource({
    "4096, 4096",
    "s33*(s20//2) + 24, s33*(s20//2) + 24",
    "?/attn/NonZero_output_0.1 + 128, ? + 128",
    "?/m/NonZero.1 + ?/m/NonZero_2.1 + 67, ? + 67",
    "2*?/m/Slice_16.1 + 23 to 9, 2*? + 23 to 9",
  })
  void sizesThatNothingNamesAreQuestionMarks(String given, String shown) {
    assertThat(ConsoleTables.readable(given)).isEqualTo(shown);
  }
}
