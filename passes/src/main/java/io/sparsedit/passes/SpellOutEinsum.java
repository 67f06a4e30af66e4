package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Writes an Einsum that multiplies matrices as MatMul, and one that only permutes axes as
 * Transpose.
 *
 * <pre>
 *   before   s = Einsum(q, k) { equation = "bihd,bjhd->bhij" }
 *   after    s = MatMul(Transpose(q) { perm = [0, 2, 1, 3] }, Transpose(k) { perm = [0, 2, 3, 1] })
 * </pre>
 *
 * <p>Any order of letters, with an ellipsis or without. One letter is summed over. Of several
 * letters that one operand alone has, the last is the rows; the others become axes that the other
 * operand broadcasts along, as where several query heads share a key head.
 */
final class SpellOutEinsum implements Pass<Compilation> {
  @Override
  public String name() {
    return "spell out Einsum";
  }

  @Override
  public int run(Compilation compilation) {
    ValueFacts facts = compilation.facts();
    return EachNode.rewrite(compilation.model().graph(), node -> spellOut(node, facts));
  }

  private static boolean spellOut(Node node, ValueFacts facts) {
    if (!node.is("Einsum")) {
      return false;
    }
    Optional<EinsumEquation> equation = EinsumEquation.of(node, facts);
    Optional<Value> product =
        equation.flatMap(e -> e.operands().size() == 1 ? permuted(node, e) : product(node, e));
    product.ifPresent(result -> node.replaceWith(List.of(result)));
    return product.isPresent();
  }

  private static Optional<Value> permuted(Node node, EinsumEquation equation) {
    String operand = equation.operands().get(0);
    String result = equation.result();
    boolean permutes =
        operand.length() == result.length()
            && result.chars().allMatch(letter -> operand.indexOf(letter) >= 0);
    return permutes
        ? Optional.of(new Inserter(node).transpose(node.requiredInput(0), places(result, operand)))
        : Optional.empty();
  }

  private static Optional<Value> product(Node node, EinsumEquation equation) {
    if (equation.operands().size() != 2 || equation.result().isEmpty()) {
      return Optional.empty();
    }
    Value first = node.requiredInput(0);
    Value second = node.requiredInput(1);
    String result = equation.result();
    boolean ofProbabilities =
        Elementwise.comesFromSoftmax(first) || Elementwise.comesFromSoftmax(second);
    // The rows are queries: of the operand with the probabilities, or without the last letter.
    boolean swap =
        ofProbabilities
            ? !Elementwise.comesFromSoftmax(first)
            : equation.operands().get(1).indexOf(result.charAt(result.length() - 1)) < 0;
    return swap
        ? product(node, second, first, equation.swapped(), ofProbabilities)
        : product(node, first, second, equation, ofProbabilities);
  }

  private static Optional<Value> product(
      Node node, Value first, Value second, EinsumEquation equation, boolean ofProbabilities) {
    String left = equation.operands().get(0);
    String right = equation.operands().get(1);
    String result = equation.result();
    StringBuilder batch = new StringBuilder();
    StringBuilder rows = new StringBuilder();
    StringBuilder columns = new StringBuilder();
    for (int i = 0; i < result.length(); i++) {
      char letter = result.charAt(i);
      boolean inLeft = left.indexOf(letter) >= 0;
      boolean inRight = right.indexOf(letter) >= 0;
      (inLeft && inRight ? batch : inLeft ? rows : columns).append(letter);
    }
    Set<Character> summed = equation.summed();
    if (rows.isEmpty() || columns.isEmpty() || summed.size() != 1) {
      return Optional.empty();
    }
    char inner = summed.iterator().next();
    if (left.indexOf(inner) < 0 || right.indexOf(inner) < 0) {
      return Optional.empty();
    }
    // A linear layer with weights of three axes or more is best left alone.
    if (batch.isEmpty() || (rows.length() > 1 && columns.length() > 1)) {
      return Optional.empty();
    }
    char row = last(ofProbabilities ? left : result, rows);
    char column = columns.charAt(columns.length() - 1);
    String outer = outer(result, row, column);
    Inserter insert = new Inserter(node);
    Value a = arranged(insert, first, left, outer, "" + row + inner);
    Value b = arranged(insert, second, right, outer, "" + inner + column);
    Value product = insert.node("MatMul", a, b);
    return Optional.of(insert.transpose(product, places(result, outer + row + column)));
  }

  /** The last letter of a word that is among some. */
  private static char last(String word, CharSequence among) {
    for (int i = word.length() - 1; i >= 0; i--) {
      if (among.toString().indexOf(word.charAt(i)) >= 0) {
        return word.charAt(i);
      }
    }
    throw new IllegalArgumentException("no letter of " + word + " is among " + among);
  }

  /** The letters of the result but for the rows and the columns. */
  private static String outer(String result, char row, char column) {
    return result.replace("" + row, "").replace("" + column, "");
  }

  /** The operand with the outer axes first, of size 1 where it has none. */
  private static Value arranged(
      Inserter insert, Value value, String letters, String outer, String inner) {
    StringBuilder present = new StringBuilder();
    List<Long> missing = new ArrayList<>();
    for (int i = 0; i < outer.length(); i++) {
      if (letters.indexOf(outer.charAt(i)) >= 0) {
        present.append(outer.charAt(i));
      } else {
        missing.add((long) i);
      }
    }
    Value turned = insert.transpose(value, places(present + inner, letters));
    return insert.unsqueeze(turned, missing.stream().mapToLong(Long::longValue).toArray());
  }

  /** Where each letter stands in another word. */
  private static List<Integer> places(String letters, String in) {
    return letters.chars().mapToObj(in::indexOf).toList();
  }
}
