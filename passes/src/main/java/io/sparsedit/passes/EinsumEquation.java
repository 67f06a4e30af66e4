package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * An Einsum's equation with one letter an axis.
 *
 * @param operands the letters of each operand; none twice in one
 * @param result the letters of the result
 */
record EinsumEquation(List<String> operands, String result) {
  /** First of the letters that stand for the axes of an ellipsis; no equation can have them. */
  private static final char ELLIPSIS = '0';

  EinsumEquation {
    operands = List.copyOf(operands);
  }

  /**
   * The equation of an Einsum with ellipses spelt out; empty if an operand's rank is not known, or
   * has an axis twice, or if axes under an ellipsis broadcast.
   */
  static Optional<EinsumEquation> of(Node node, ValueFacts facts) {
    String equation = node.stringAttribute("equation", "").replace(" ", "");
    int arrow = equation.indexOf("->");
    String[] left = (arrow < 0 ? equation : equation.substring(0, arrow)).split(",", -1);
    if (left.length != node.inputCount()) {
      return Optional.empty();
    }
    List<String> operands = new ArrayList<>();
    int covered = -1;
    for (int i = 0; i < left.length; i++) {
      Optional<List<Dim>> shape = node.input(i).flatMap(facts::shape);
      if (shape.isEmpty()) {
        return Optional.empty();
      }
      boolean dots = left[i].contains("...");
      int axes = shape.get().size() - left[i].replace("...", "").length();
      if (axes < 0 || (!dots && axes > 0) || (dots && covered >= 0 && covered != axes)) {
        return Optional.empty();
      }
      covered = dots ? axes : covered;
      operands.add(left[i].replace("...", letters(dots ? axes : 0)));
    }
    covered = Math.max(covered, 0);
    String right = arrow < 0 ? implicit(left, covered) : equation.substring(arrow + 2);
    EinsumEquation spelt = new EinsumEquation(operands, right.replace("...", letters(covered)));
    return spelt.isProper() ? Optional.of(spelt) : Optional.empty();
  }

  private static String letters(int axes) {
    StringBuilder letters = new StringBuilder();
    for (int i = 0; i < axes; i++) {
      letters.append((char) (ELLIPSIS + i));
    }
    return letters.toString();
  }

  /** Letters that occur once, in alphabetical order, after the ellipsis. */
  private static String implicit(String[] left, int covered) {
    TreeMap<Character, Integer> counts = new TreeMap<>();
    for (String operand : left) {
      for (char letter : operand.replace("...", "").toCharArray()) {
        counts.merge(letter, 1, Integer::sum);
      }
    }
    StringBuilder result = new StringBuilder(covered > 0 ? "..." : "");
    counts.forEach(
        (letter, count) -> {
          if (count == 1) {
            result.append(letter.charValue());
          }
        });
    return result.toString();
  }

  private boolean isProper() {
    Set<Character> all = new LinkedHashSet<>();
    for (String operand : operands) {
      if (operand.chars().distinct().count() != operand.length()) {
        return false;
      }
      operand.chars().forEach(letter -> all.add((char) letter));
    }
    return result.chars().distinct().count() == result.length()
        && result.chars().allMatch(letter -> all.contains((char) letter));
  }

  /** The same of two operands in the other order. */
  EinsumEquation swapped() {
    return new EinsumEquation(List.of(operands.get(1), operands.get(0)), result);
  }

  /** Letters that are summed over. */
  Set<Character> summed() {
    Set<Character> letters = new LinkedHashSet<>();
    for (String operand : operands) {
      operand
          .chars()
          .filter(letter -> result.indexOf(letter) < 0)
          .forEach(letter -> letters.add((char) letter));
    }
    return letters;
  }

  /** For an axis of the result, its place in each operand; -1 where an operand has it not. */
  List<Integer> placesOf(int resultAxis) {
    char letter = result.charAt(resultAxis);
    return operands.stream().map(operand -> operand.indexOf(letter)).toList();
  }
}
