package io.sparsedit.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;

final class ConsoleProgressTest {
  private final StringWriter text = new StringWriter();

  private String shown(ConsoleProgress.Style style) {
    try (ConsoleProgress progress = new ConsoleProgress(new PrintWriter(text, true), style)) {
      progress.stage("build engine");
      progress.detail("3 of 7");
      progress.stage("complete");
    }
    return text.toString().replaceAll("\\d+\\.\\d", "0.0");
  }

  @Test
  void aTerminalHasOneLineThatChangesAndGoes() {
    String clear = "\r\u001b[2K";
    assertThat(shown(ConsoleProgress.Style.TERMINAL))
        .isEqualTo(
            clear
                + "[  0.0 s] build engine"
                + clear
                + "[  0.0 s] build engine, 3 of 7"
                + clear
                + "[  0.0 s] complete"
                + clear);
  }

  @Test
  void aLogHasALineForEachStage() {
    assertThat(shown(ConsoleProgress.Style.LINES).lines())
        .containsExactly("[  0.0 s] build engine", "[  0.0 s] complete");
  }

  @Test
  void quietIsQuiet() {
    assertThat(shown(ConsoleProgress.Style.NONE)).isEmpty();
  }
}
