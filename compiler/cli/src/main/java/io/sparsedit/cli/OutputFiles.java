package io.sparsedit.cli;

import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Looks, before a command does its work, at the files that it is to write. */
final class OutputFiles {
  private OutputFiles() {}

  /**
   * Checks that a file can be written and is not the one that is read.
   *
   * @param option what named it
   * @param read the command's input, which stays as it is
   * @throws SparsifyException if it is, or cannot be written
   */
  static void require(String option, Path file, Path read) {
    if (isSame(file, read)) {
      throw SparsifyException.usage(
          option + " " + file + " is the model itself, which would be lost; name another file");
    }
    AtomicFile.requireWritable(file);
  }

  /**
   * Checks that two options do not name the same file.
   *
   * @throws SparsifyException if they do
   */
  static void requireTwo(String option, Path file, String otherOption, Path other) {
    if (isSame(file, other)
        || file.toAbsolutePath().normalize().equals(other.toAbsolutePath().normalize())) {
      throw SparsifyException.usage(
          option + " and " + otherOption + " both name " + file + "; name two files");
    }
  }

  private static boolean isSame(Path file, Path other) {
    try {
      return Files.isRegularFile(file) && Files.exists(other) && Files.isSameFile(file, other);
    } catch (IOException e) {
      // What cannot be looked at is told of by whoever reads or writes it.
      return false;
    }
  }
}
