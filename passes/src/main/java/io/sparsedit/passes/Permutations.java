package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/**
 * Permutations of axes, as Transpose has them: axis i of the result is axis perm[i] of the data.
 */
final class Permutations {
  private Permutations() {}

  /** What a Transpose does; empty if it is none, or reverses axes whose number is not known. */
  static Optional<List<Integer>> of(Node node, ValueFacts facts) {
    if (!node.is("Transpose")) {
      return Optional.empty();
    }
    Optional<List<Long>> written = node.intsAttribute("perm");
    if (written.isPresent()) {
      return Optional.of(written.get().stream().map(Math::toIntExact).toList());
    }
    Optional<List<Dim>> shape = facts.shape(node.requiredInput(0));
    return shape.map(
        dims -> {
          List<Integer> reversed = new ArrayList<>(identity(dims.size()));
          Collections.reverse(reversed);
          return reversed;
        });
  }

  static List<Integer> identity(int rank) {
    List<Integer> axes = new ArrayList<>();
    for (int i = 0; i < rank; i++) {
      axes.add(i);
    }
    return axes;
  }

  /** Exchanges the last two axes. */
  static List<Integer> swapLast(int rank) {
    List<Integer> axes = new ArrayList<>(identity(rank));
    Collections.swap(axes, rank - 2, rank - 1);
    return axes;
  }

  /** First the one, then the other. */
  static List<Integer> compose(List<Integer> first, List<Integer> second) {
    return second.stream().map(first::get).toList();
  }
}
