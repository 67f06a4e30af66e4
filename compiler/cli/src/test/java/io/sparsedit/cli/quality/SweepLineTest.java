package io.sparsedit.cli.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;

final class SweepLineTest {
  @Test
  void choicesAreCombined() {
    SweepLine line = SweepLine.parse("many: --clusters {8,32|16,64} --top-p {.5|.9} --compensate");
    assertThat(line.name()).isEqualTo("many");
    assertThat(line.settings())
        .containsExactly(
            List.of("--clusters", "8,32", "--top-p", ".5", "--compensate"),
            List.of("--clusters", "8,32", "--top-p", ".9", "--compensate"),
            List.of("--clusters", "16,64", "--top-p", ".5", "--compensate"),
            List.of("--clusters", "16,64", "--top-p", ".9", "--compensate"));
  }

  @Test
  void aChoiceMayBeNothing() {
    assertThat(SweepLine.parse("both: {|--compensate}").settings())
        .containsExactly(List.of(), List.of("--compensate"));
  }

  @Test
  void commentsAndEmptyLinesDoNotCount() {
    assertThat(SweepLine.parseAll("a.sweep", "# a sweep\n\n a: --top-p .5\n")).hasSize(1);
  }

  @Test
  void badLinesAreRefused() {
    assertThatThrownBy(() -> SweepLine.parse(": --top-p .5")).hasMessageContaining("NAME: OPTIONS");
    assertThatThrownBy(() -> SweepLine.parse("a: {1|2")).hasMessageContaining("do not match");
    assertThatThrownBy(() -> SweepLine.parse("a: {1|{2|3}")).hasMessageContaining("do not match");
    assertThatThrownBy(() -> SweepLine.parseAll("a.sweep", "# a sweep\n\na: --top-p .5\nb\n"))
        .hasMessageStartingWith("a.sweep:4: a line of a sweep is NAME: OPTIONS");
  }

  @Test
  void aLineHasAsManySettingsAsOneCanWaitFor() {
    assertThatThrownBy(() -> SweepLine.parse("all: " + "{0|1}".repeat(40)))
        .hasMessageContaining("more than 10000 settings");
  }
}
