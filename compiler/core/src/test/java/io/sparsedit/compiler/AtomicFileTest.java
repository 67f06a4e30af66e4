package io.sparsedit.compiler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
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

  @Test
  void aSymbolicLinkStaysAndLeadsToTheNewFile() throws IOException {
    Path file = Files.writeString(folder.resolve("report.json"), "old");
    Path link = Files.createSymbolicLink(folder.resolve("link"), Path.of("report.json"));
    Path early = Files.createSymbolicLink(folder.resolve("early"), Path.of("later.json"));

    AtomicFile.write(link, out -> out.write('n'));
    AtomicFile.requireWritable(early);
    AtomicFile.write(early, out -> out.write('l'));

    assertThat(link).isSymbolicLink();
    assertThat(Files.readString(file)).isEqualTo("n");
    assertThat(early).isSymbolicLink();
    assertThat(Files.readString(folder.resolve("later.json"))).isEqualTo("l");
    assertThat(folder.toFile().list())
        .containsExactlyInAnyOrder("report.json", "link", "early", "later.json");
  }

  @Test
  void linksInACircleAreNamed() throws IOException {
    Path circle = Files.createSymbolicLink(folder.resolve("circle"), Path.of("circle"));

    assertThatThrownBy(() -> AtomicFile.write(circle, out -> {}))
        .hasMessage(circle + ": cannot be written: its symbolic links lead in a circle; remove it");
    assertThat(circle).isSymbolicLink();
  }

  /** As /dev/stdout and /dev/null are, which must not become files. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void whatIsNoFileIsWrittenToAndNotReplaced() throws Exception {
    Path pipe = folder.resolve("pipe");
    assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();
    CompletableFuture<String> read =
        CompletableFuture.supplyAsync(
            () -> {
              try {
                return Files.readString(pipe);
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });

    AtomicFile.requireWritable(pipe);
    AtomicFile.write(pipe, out -> out.write('n'));

    assertThat(read.get(10, TimeUnit.SECONDS)).isEqualTo("n");
    assertThat(Files.isRegularFile(pipe)).isFalse();
    assertThat(folder.toFile().list()).containsExactly("pipe");
  }
}
