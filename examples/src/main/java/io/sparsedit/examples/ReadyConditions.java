package io.sparsedit.examples;

import io.sparsedit.runtime.sampling.Condition;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Scenes for the tiny video DiT that come with the examples. */
final class ReadyConditions {
  /** How many there are, numbered from 0. */
  static final int COUNT = 6;

  private ReadyConditions() {}

  /**
   * A ready condition or one from a file.
   *
   * @param which a number or a file's path
   * @throws IOException if there is no such file
   * @throws IllegalArgumentException if it holds something else than numbers
   */
  static Condition load(String which) throws IOException {
    if (!which.matches("\\d+")) {
      Path file = Path.of(which);
      if (!Files.isRegularFile(file)) {
        throw new FileNotFoundException(
            "there is no condition file " + which + "; ready ones are 0 to " + (COUNT - 1));
      }
      return Condition.read(file);
    }
    try (InputStream in =
        ReadyConditions.class.getResourceAsStream("conditions/" + which + ".txt")) {
      if (in == null) {
        throw new IllegalArgumentException("ready conditions are 0 to " + (COUNT - 1));
      }
      return Condition.parse(which, new String(in.readAllBytes(), StandardCharsets.UTF_8));
    }
  }
}
