package io.sparsedit.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class DimExpressionTest {
  private static final Map<String, Long> SYMBOLS = Map.of("batch", 2L, "s0", 7L, "a.b", 3L);

  @ParameterizedTest
  @CsvSource({
    "2*batch, 4",
    "batch, 2",
    "batch + s0*a.b, 23",
    "(batch + s0) * 3, 27",
    "s0//2, 3",
    "floor(s0/2) + 1, 4",
    "s0 - 1 - 1, 5",
    "-batch + s0 % 4, 1",
    "12, 12",
    "2*s0**2, 98",
    "'Max(batch, s0, 3) - Min(batch, a.b)', 5",
    "'FloorDiv(s0, 2) + CeilDiv(s0, batch) + Mod(s0, 4) + CleanDiv(s0, 7)', 11"
  })
  void expressionsAreEvaluated(String text, long value) {
    assertThat(DimExpression.evaluate(text, SYMBOLS)).hasValue(value);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "other",
        "2*",
        "(batch",
        "batch)",
        "2 batch",
        "batch/0",
        "2*****3",
        "batch**99",
        "Max()",
        "Mod(2)",
        "Unknown(batch)",
        "unk::1",
        "99999999999999999999",
        "9999999999999999*9999999999999999"
      })
  void whatIsNoExpressionOverTheSymbolsHasNoValue(String text) {
    assertThat(DimExpression.evaluate(text, SYMBOLS)).isEmpty();
  }
}
