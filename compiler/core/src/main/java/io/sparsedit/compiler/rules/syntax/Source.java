package io.sparsedit.compiler.rules.syntax;

import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import java.io.IOException;
import java.nio.charset.MalformedInputException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * The text of one rule file.
 *
 * @param name what messages call it, mostly the file's path
 * @param text the content
 */
public record Source(String name, String text) {
  /** Largest rule file that is read. */
  private static final long MAX_BYTES = 4L << 20;

  /** Reads one file. */
  public static Source read(Path file) {
    try {
      if (Files.size(file) > MAX_BYTES) {
        throw SparsifyException.failure(file + ": a rule file may have at most 4 MB");
      }
      return new Source(file.toString(), Files.readString(file, StandardCharsets.UTF_8));
    } catch (MalformedInputException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE, file + ": the rule file is not UTF-8 text", e);
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          file + ": cannot read the rule file: " + AtomicFile.reason(e),
          e);
    }
  }

  /** Reads the {@code *.rules} files of a folder, in order of their names. */
  public static List<Source> readDirectory(Path directory) {
    List<Path> files;
    if (!Files.isDirectory(directory)) {
      throw SparsifyException.failure(
          directory
              + (Files.exists(directory)
                  ? " is no folder: rule files are read from a folder, give the one that holds it"
                  : ": there is no such folder to read rule files from"));
    }
    try (Stream<Path> entries = Files.list(directory)) {
      files = entries.filter(p -> p.getFileName().toString().endsWith(".rules")).sorted().toList();
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          directory + ": cannot list rule files: " + AtomicFile.reason(e),
          e);
    }
    if (files.isEmpty()) {
      throw SparsifyException.failure(
          directory + " holds no rule file: none there has a name that ends in .rules");
    }
    return files.stream().map(Source::read).toList();
  }

  /** The line of the given number, from 1; empty past the end. */
  String line(int number) {
    return text.lines().skip(number - 1L).findFirst().orElse("");
  }
}
