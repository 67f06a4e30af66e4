package io.sparsedit.passes.verify;

import io.sparsedit.compiler.ir.MovingOperators;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/**
 * Inputs that are places in a table, such as the class of an image or the identifier of a frame
 * rate: what made-up inputs must stay below.
 *
 * <pre>
 *   label (i64) -> Cast -> Gather(table [1, 1152], ..)      length 1: only 0 is in it
 * </pre>
 */
public final class TableLengths {
  private TableLengths() {}

  /**
   * The length of the shortest table that an input is looked up in.
   *
   * @param input an input of integers
   * @param facts the shapes of its graph
   * @return empty if there is none, or none of known length
   */
  public static OptionalLong of(Value input, ValueFacts facts) {
    OptionalLong shortest = OptionalLong.empty();
    Set<Value> seen = new HashSet<>(Set.of(input));
    Deque<Value> open = new ArrayDeque<>(List.of(input));
    while (!open.isEmpty()) {
      for (Value.Use use : open.remove().uses()) {
        Node node = use.node();
        OptionalLong length = length(node, use.index(), facts);
        if (length.isPresent()) {
          shortest = OptionalLong.of(Math.min(length.getAsLong(), shortest.orElse(Long.MAX_VALUE)));
        }
        if (moves(node, use.index())) {
          node.outputs().stream().filter(seen::add).forEach(open::add);
        }
      }
    }
    return shortest;
  }

  private static boolean moves(Node node, int index) {
    return MovingOperators.include(node) && (index == 0 || node.is("Concat"));
  }

  /** The length of the table in which the node looks up its input. */
  private static OptionalLong length(Node node, int index, ValueFacts facts) {
    if (index != 1 || !(node.is("Gather") || node.is("GatherElements"))) {
      return OptionalLong.empty();
    }
    Optional<List<Dim>> table = node.input(0).flatMap(facts::shape);
    if (table.isEmpty()) {
      return OptionalLong.empty();
    }
    int rank = table.get().size();
    long axis = node.intAttribute("axis", 0);
    long counted = axis < 0 ? axis + rank : axis;
    return counted >= 0 && counted < rank
        ? table.get().get((int) counted).constant()
        : OptionalLong.empty();
  }
}
