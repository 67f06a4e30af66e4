package io.sparsedit.compiler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AtomicFileTest {
  @TempDir Path folder;

  @Test
  void aFailureHalfWayLeavesTheOldFileAndNothingElse() throws IOException {
    Path file = Files.writeString(folder.resolve("report.json"), "old");

    assertThatThrownBy(
            () ->
                AtomicFile.write(
                    file,
                    out -> {
                      out.write(new byte[100_000]);
                      throw new IOException("No space left on device");
                    }))
        .isInstanceOf(SparsifyException.class)
        .hasMessage(
            file
                + ": cannot be written: No space left on device; free some, or write to another place");
    assertThat(Files.readString(file)).isEqualTo("old");
    assertThat(folder.toFile().list()).containsExactly("report.json");
  }

  @Test
  void aFileIsReplaced() throws IOException {
    Path file = Files.writeString(folder.resolve("report.json"), "old");

    AtomicFile.write(file, out -> out.write('n'));

    assertThat(Files.readString(file)).isEqualTo("n");
    assertThat(folder.toFile().list()).containsExactly("report.json");
  }

  @Test
  void theReasonIsSaidInPlainWords() throws IOException {
    Path noFolder = folder.resolve("no/report.json");
    assertThatThrownBy(() -> AtomicFile.write(noFolder, out -> {}))
        .hasMessage(noFolder + ": cannot be written: no such file or folder");
    Path inTheWay = folder.resolve("in/the");
    Files.createDirectories(inTheWay.resolve("way"));
    assertThatThrownBy(() -> AtomicFile.write(inTheWay, out -> {}))
        .hasMessage(inTheWay + ": cannot be written: there is a folder of this name");
  }
}
