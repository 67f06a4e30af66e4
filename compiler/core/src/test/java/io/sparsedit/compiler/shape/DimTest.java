package io.sparsedit.compiler.shape;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class DimTest {
  private static final Dim F = Dim.symbol("F");
  private static final Dim H = Dim.symbol("H");
  private static final Dim W = Dim.symbol("W");

  @Test
  void printsAsAReaderWouldWriteIt() {
    Dim tokens = F.times(H.floorDiv(2)).times(W.floorDiv(2));
    assertThat(tokens).hasToString("F*(H//2)*(W//2)");
    assertThat(tokens.plus(Dim.symbol("T")).minus(3)).hasToString("F*(H//2)*(W//2) + T - 3");
    assertThat(H.floorDiv(2)).hasToString("H//2");
    assertThat(H.plus(1).floorDiv(2)).hasToString("(H + 1)//2");
    assertThat(Dim.of(64).min(F)).hasToString("Min(64, F)");
    assertThat(F.negate()).hasToString("-F");
    assertThat(Dim.ZERO).hasToString("0");
  }

  @Test
  void equalMeansProvablyEqual() {
    assertThat(H.times(2).plus(2).floorDiv(2)).isEqualTo(H.plus(1));
    assertThat(F.plus(H).times(F.minus(H))).isEqualTo(F.times(F).minus(H.times(H)));
    assertThat(H.minus(2).floorDiv(2).plus(1)).isEqualTo(H.floorDiv(2));
    assertThat(H.floorDiv(2).floorDiv(2)).isEqualTo(H.floorDiv(4));
    assertThat(H.minus(H.mod(Dim.of(2)))).isEqualTo(H.floorDiv(2).times(2));
    assertThat(H.times(W).floorDiv(F.times(W))).isEqualTo(H.floorDiv(F));
    assertThat(H.negate().floorDiv(2)).isEqualTo(H.ceilDiv(2).negate());
    Dim padding = Dim.of(16).minus(H.mod(Dim.of(16))).mod(Dim.of(16));
    assertThat(H.plus(padding)).isEqualTo(H.ceilDiv(16).times(16));
    assertThat(Dim.ZERO.max(H)).isEqualTo(H);
    assertThat(H.min(Dim.ONE)).isEqualTo(Dim.ONE);
    assertThat(F.max(H).max(W)).isEqualTo(W.max(H.max(F)));
  }

  @Test
  void dividesExactlyWhereItCan() {
    Dim tokens = F.times(H.floorDiv(2)).times(W.floorDiv(2));
    assertThat(tokens.times(64).floorDiv(tokens)).isEqualTo(Dim.of(64));
    assertThat(tokens.times(64).floorDiv(Dim.of(32))).isEqualTo(tokens.times(2));
    Dim joint = tokens.plus(Dim.symbol("T"));
    assertThat(joint.times(joint).floorDiv(joint)).isEqualTo(joint);
    assertThat(Dim.of(7).floorDiv(Dim.of(-2))).isEqualTo(Dim.of(-4));
    assertThatThrownBy(() -> H.floorDiv(Dim.ZERO)).isInstanceOf(ArithmeticException.class);
  }

  @Test
  void readsExpressionsOfTheExporter() {
    assertThat(Dim.parse("s33*((s20//2))*((s66//2))")).hasToString("s33*(s20//2)*(s66//2)");
    assertThat(Dim.parse("((s31**2)//s31)")).isEqualTo(Dim.symbol("s31"));
    assertThat(Dim.parse("(((12*Min(64, s33))//s33))")).hasToString("(12*Min(64, s33))//s33");
    assertThat(Dim.parse("Max(0, s2 - Min(1, s2))")).hasToString("s2 - 1");
    assertThat(Dim.parse("-2*s1 + 7 % 4")).hasToString("-2*s1 + 3");
    assertThat(Dim.parse("192")).isEqualTo(Dim.of(192));
  }

  @Test
  void takesOtherNamesAsTheyAre() {
    for (String name :
        List.of("batch_size", "batch size", "a-", "f(x)", "", "99999999999999999999")) {
      assertThat(Dim.parse(name)).isEqualTo(Dim.symbol(name));
    }
  }

  @Test
  void evaluatesUnderSizes() {
    Dim dim = Dim.parse("s33*((s20//2))*((s66//2)) + s31");
    assertThat(dim.evaluate(Map.of("s33", 4L, "s20", 17L, "s66", 12L, "s31", 24L))).hasValue(216);
    assertThat(dim.evaluate(Map.of("s33", 4L))).isEmpty();
    assertThat(dim.substitute(Map.of("s33", Dim.of(4), "s31", F)))
        .hasToString("4*(s20//2)*(s66//2) + F");
    assertThat(dim.symbols()).containsExactly("s20", "s31", "s33", "s66");
  }

  @Test
  void ordersWhatItCanProve() {
    assertThat(H.plus(2).isAtLeast(H)).isTrue();
    assertThat(H.isAtLeast(W)).isFalse();
    assertThat(H.floorDiv(2).isAtLeast(Dim.ZERO)).isTrue();
    assertThat(Dim.unknown("?x.0").isAtLeast(Dim.ONE)).isFalse();
    assertThat(Dim.unknown("?x.0").isNamed()).isFalse();
  }

  /** Random expressions have the value that their construction says, and so do their prints. */
  @Test
  void simplificationKeepsTheValue() {
    Random random = new Random(1);
    List<String> names = List.of("a", "b", "c");
    for (int round = 0; round < 1000; round++) {
      Map<String, Long> sizes = new HashMap<>();
      names.forEach(n -> sizes.put(n, 1L + random.nextInt(20)));
      List<Dim> dims = new ArrayList<>();
      List<Long> values = new ArrayList<>();
      for (String name : names) {
        dims.add(Dim.symbol(name));
        values.add(sizes.getOrDefault(name, 0L));
      }
      for (long number : new long[] {1, 2, 3, 16}) {
        dims.add(Dim.of(number));
        values.add(number);
      }
      for (int step = 0; step < 8; step++) {
        int i = random.nextInt(dims.size());
        int j = random.nextInt(dims.size());
        Dim x = dims.get(i);
        Dim y = dims.get(j);
        long u = values.get(i);
        long v = values.get(j);
        int operation = random.nextInt(8);
        boolean byZero = operation >= 5 && (v == 0 || y.is(0));
        if (byZero || (operation == 6 && v < 0)) {
          continue;
        }
        Dim dim =
            switch (operation) {
              case 0 -> x.plus(y);
              case 1 -> x.minus(y);
              case 2 -> x.times(y);
              case 3 -> x.max(y);
              case 4 -> x.min(y);
              case 5 -> x.floorDiv(y);
              case 6 -> x.ceilDiv(y);
              default -> x.mod(y);
            };
        long value =
            switch (operation) {
              case 0 -> u + v;
              case 1 -> u - v;
              case 2 -> u * v;
              case 3 -> Math.max(u, v);
              case 4 -> Math.min(u, v);
              case 5 -> Math.floorDiv(u, v);
              case 6 -> -Math.floorDiv(-u, v);
              default -> Math.floorMod(u, v);
            };
        if (dim.complexity() > 40 || Math.abs(value) > 1_000_000) {
          break;
        }
        assertThat(dim.evaluate(sizes)).as("%s under %s", dim, sizes).hasValue(value);
        assertThat(Dim.parse(dim.toString())).as(dim.toString()).isEqualTo(dim);
        assertThat(dim.bounds().contains(value)).as("%s in %s", value, dim.bounds()).isTrue();
        dims.add(dim);
        values.add(value);
      }
    }
  }
}
