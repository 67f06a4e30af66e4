package io.sparsedit.runtime.sampling;

import io.sparsedit.runtime.Tensor;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * What a sample is to show, as the numbers of the model's condition tokens.
 *
 * <p>Its file is text: numbers between white space, {@code #} starts a comment line, the first of
 * which is its name.
 *
 * @param name what it says, in words
 * @param values the tokens, one after the other
 */
public record Condition(String name, List<Double> values) {
  /** The input that takes the tokens, as Diffusers' models call it. */
  public static final String INPUT = "encoder_hidden_states";

  /** Keeps its own copy of the values. */
  public Condition {
    values = List.copyOf(values);
  }

  /**
   * The condition in a file.
   *
   * @throws IOException if it cannot be read
   * @throws IllegalArgumentException if it holds something else than numbers
   */
  public static Condition read(Path file) throws IOException {
    if (!Files.isRegularFile(file)) {
      throw new FileNotFoundException("there is no condition file " + file);
    }
    return parse(file.toString(), Files.readString(file));
  }

  /**
   * The condition that a file's text holds.
   *
   * @param file its name, for messages and where no comment gives one
   * @throws IllegalArgumentException if it holds something else than numbers
   */
  public static Condition parse(String file, String text) {
    String name =
        text.lines()
            .filter(line -> line.startsWith("#"))
            .map(line -> line.substring(1).strip())
            .findFirst()
            .orElse(file);
    try {
      return new Condition(
          name,
          text.lines()
              .filter(line -> !line.startsWith("#") && !line.isBlank())
              .flatMap(line -> Stream.of(line.strip().split("\\s+")))
              .map(Double::valueOf)
              .toList());
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          "condition " + file + " holds something else than numbers: " + e.getMessage(), e);
    }
  }

  /**
   * Writes the tokens into an input.
   *
   * @param input the input's name; {@link #INPUT} in Diffusers' models
   * @throws IllegalArgumentException if the model has no such input, or one of another size
   */
  public void putInto(Map<String, Tensor> inputs, String input) {
    Tensor tokens = inputs.get(input);
    if (tokens == null) {
      throw new IllegalArgumentException(
          "the model has no input " + input + ", only " + inputs.keySet());
    }
    if (tokens.elementCount() != values.size()) {
      throw new IllegalArgumentException(
          input + " is " + tokens + ", the condition has " + values.size() + " numbers");
    }
    for (int i = 0; i < values.size(); i++) {
      tokens.set(i, values.get(i));
    }
  }
}
