package io.sparsedit.compiler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class LargeFilesTest {
  @TempDir private Path folder;

  private Path file(String name, String content) throws IOException {
    return Files.writeString(folder.resolve(name), content);
  }

  @Test
  void aLinkIsTheFileItself() throws IOException {
    Path file = file("weights", "numbers");
    Path link = Files.createSymbolicLink(folder.resolve("symbolic"), file);
    assertThat(LargeFiles.linkOrCopy(link, folder.resolve("second"))).isTrue();
    Files.delete(file);
    assertThat(folder.resolve("second")).hasContent("numbers").isRegularFile();
    assertThat(Files.isSymbolicLink(folder.resolve("second"))).isFalse();
  }

  @Test
  void aCopyIsNotTouchedByLaterChanges() throws IOException {
    Path file = file("weights", "numbers");
    LargeFiles.copy(file, folder.resolve("second"));
    Files.writeString(file, "others");
    assertThat(folder.resolve("second")).hasContent("numbers");
  }

  @Test
  void whatIsThereStays() throws IOException {
    Path file = file("weights", "numbers");
    Path other = file("other", "mine");
    assertThatThrownBy(() -> LargeFiles.linkOrCopy(file, other))
        .isInstanceOf(FileAlreadyExistsException.class);
    assertThatThrownBy(() -> LargeFiles.copy(file, other))
        .isInstanceOf(FileAlreadyExistsException.class);
    assertThat(other).hasContent("mine");
    assertThatThrownBy(() -> LargeFiles.linkOrCopy(folder.resolve("none"), folder.resolve("new")))
        .isInstanceOf(NoSuchFileException.class);
    assertThat(folder.resolve("new")).doesNotExist();
  }
}
