package io.sparsedit.compiler.rules;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.rules.syntax.Source;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Any text is a rule set or one error with a position. */
class RuleFuzzTest {
  private static final int ROUNDS = 400;
  private static final Pattern TOKEN =
      Pattern.compile("\\s+|//[^\\n]*|\"[^\"]*\"|#?\\w+|[<>=!]=|=>|\\.\\.\\.|.", Pattern.DOTALL);

  private static List<String> tokens(String text) {
    List<String> tokens = new ArrayList<>();
    Matcher matcher = TOKEN.matcher(text);
    while (matcher.find()) {
      tokens.add(matcher.group());
    }
    return tokens;
  }

  /** Whether the text is a rule set; fails if it is neither that nor an error with a position. */
  private static boolean load(String text) {
    try {
      RuleSet.load(List.of(new Source("fuzz.rules", text)));
      return true;
    } catch (SparsifyException e) {
      assertThat(e.getMessage()).matches("(?s)fuzz\\.rules:\\d+:\\d+: error: .+");
      return false;
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  @Timeout(120)
  void changedTokens(long seed) {
    Random random = new Random(seed);
    List<String> original = tokens(AttentionRulesTest.rules());
    int good = 0;
    for (int round = 0; round < ROUNDS; round++) {
      List<String> changed = new ArrayList<>(original);
      for (int i = random.nextInt(3); i >= 0; i--) {
        int at = random.nextInt(changed.size());
        String other = original.get(random.nextInt(original.size()));
        switch (random.nextInt(4)) {
          case 0 -> changed.remove(at);
          case 1 -> changed.set(at, other);
          case 2 -> changed.add(at, other);
          default -> changed.add(at, changed.get(at));
        }
      }
      good += load(String.join("", changed)) ? 1 : 0;
    }
    assertThat(good).isBetween(1, ROUNDS - 1);
  }

  @ParameterizedTest
  @ValueSource(longs = {4, 5})
  @Timeout(120)
  void tokenSoup(long seed) {
    Random random = new Random(seed);
    List<String> vocabulary = tokens(AttentionRulesTest.rules());
    for (int round = 0; round < ROUNDS; round++) {
      StringBuilder text = new StringBuilder("rule a { match { ");
      for (int i = random.nextInt(60); i >= 0; i--) {
        text.append(vocabulary.get(random.nextInt(vocabulary.size()))).append(' ');
      }
      load(text.toString());
    }
  }

  @Test
  @Timeout(60)
  void arbitraryCharacters() {
    Random random = new Random(6);
    for (int round = 0; round < ROUNDS; round++) {
      StringBuilder text = new StringBuilder();
      for (int i = random.nextInt(80); i >= 0; i--) {
        text.appendCodePoint(
            random.nextInt(10) == 0 ? random.nextInt(0x10000) : random.nextInt(128));
      }
      load(text.toString());
    }
  }

  @Test
  void deepNestingIsAnError() {
    for (String piece :
        List.of("(", "[", "not ", "-", "1 + ", "x => ", "{ y = ", "Relu(", "when ")) {
      for (String prefix :
          List.of("rule a { match { o = Relu(x); } where { ", "rule a { match { o = ", "")) {
        assertThat(load(prefix + piece.repeat(20_000))).isFalse();
      }
    }
  }

  @Test
  void doublingPatternsAreAnError() {
    StringBuilder text = new StringBuilder("pattern p0(x) = x | x;\n");
    for (int i = 1; i < 60; i++) {
      text.append(String.format("pattern p%d(x) = p%d(x) | p%d(x);%n", i, i - 1, i - 1));
    }
    text.append("rule a { match { y = p59(x); out = Relu(y); } }");
    org.junit.jupiter.api.Assertions.assertTimeoutPreemptively(
        Duration.ofMinutes(2), () -> assertThat(load(text.toString())).isFalse());
  }
}
