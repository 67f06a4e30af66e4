package io.sparsedit.examples;

import io.sparsedit.runtime.Tensor;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * What a video is to show, as the numbers of the model's condition tokens.
 *
 * <p>Its file is text: numbers between white space, {@code #} starts a comment line, the first of
 * which is its name.
 *
 * @param name what it says, in words
 * @param values the tokens, one after the other
 */
record Condition(String name, List<Double> values) {
  /** Numbers of the ready conditions, from 0. */
  static final int READY = 6;

  /** The input that takes the tokens, as Diffusers models call it. */
  private static final String INPUT = "encoder_hidden_states";

  Condition {
    values = List.copyOf(values);
  }

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
            "there is no condition file " + which + "; ready ones are 0 to " + (READY - 1));
      }
      return parse(which, Files.readString(file));
    }
    try (InputStream in = Condition.class.getResourceAsStream("conditions/" + which + ".txt")) {
      if (in == null) {
        throw new IllegalArgumentException("ready conditions are 0 to " + (READY - 1));
      }
      return parse(which, new String(in.readAllBytes(), StandardCharsets.UTF_8));
    }
  }

  private static Condition parse(String which, String text) {
    String name =
        text.lines()
            .filter(line -> line.startsWith("#"))
            .map(line -> line.substring(1).strip())
            .findFirst()
            .orElse(which);
    try {
      return new Condition(
          name,
          text.lines()
              .filter(line -> !line.startsWith("#") && !line.isBlank())
              .flatMap(line -> List.of(line.strip().split("\\s+")).stream())
              .map(Double::valueOf)
              .toList());
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          "condition " + which + " holds something else than numbers: " + e.getMessage(), e);
    }
  }

  /**
   * Writes the tokens into the model's inputs.
   *
   * @throws IllegalArgumentException if the model does not take tokens, or not that many numbers
   */
  void putInto(Map<String, Tensor> inputs) {
    Tensor tokens = inputs.get(INPUT);
    if (tokens == null) {
      throw new IllegalArgumentException(
          "the model has no input " + INPUT + ", only " + inputs.keySet());
    }
    if (tokens.elementCount() != values.size()) {
      throw new IllegalArgumentException(
          INPUT + " is " + tokens + ", the condition has " + values.size() + " numbers");
    }
    for (int i = 0; i < values.size(); i++) {
      tokens.set(i, values.get(i));
    }
  }
}
