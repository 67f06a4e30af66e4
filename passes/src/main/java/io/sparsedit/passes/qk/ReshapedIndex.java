package io.sparsedit.passes.qk;

import io.sparsedit.compiler.shape.Dim;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/**
 * Where an element of a reshaped tensor is in the tensor before.
 *
 * <pre>
 *   [B,S,H*D] to [B,S,H,D]       [b, s, h, 5]      is  [b, s, h*D + 5]
 *   [B,S,H,D] to [B,S,H,D/2,2]   [b, s, h, 3, 1]   is  [b, s, h, 7]
 * </pre>
 */
final class ReshapedIndex {
  /** Runs of axes, of the tensor before and after, that hold the same elements. */
  private record Group(List<Integer> from, List<Integer> to) {}

  private final List<Dim> from;
  private final List<Dim> to;
  private final List<Group> groups;

  ReshapedIndex(List<Dim> from, List<Dim> to) {
    this.from = from;
    this.to = to;
    this.groups = groups(from, to);
  }

  /** The index before for an index after; empty if it cannot be said. */
  Optional<List<Index>> before(List<Index> after) {
    List<Index> result = new ArrayList<>(Collections.nCopies(from.size(), Index.FIRST));
    for (Group group : groups) {
      if (group.from().size() == 1 && group.to().size() == 1) {
        // Reshape keeps the number of elements: the two are equal, whatever they are called.
        result.set(group.from().get(0), after.get(group.to().get(0)));
        continue;
      }
      List<Index.Digit> digits = new ArrayList<>();
      for (int axis : group.to()) {
        digits.addAll(Index.digits(after.get(axis), to.get(axis)));
      }
      if (!distribute(digits, group.from(), result)) {
        return Optional.empty();
      }
    }
    return Optional.of(result);
  }

  private boolean distribute(List<Index.Digit> digits, List<Integer> axes, List<Index> result) {
    for (int i = axes.size() - 1; i > 0; i--) {
      Optional<Index> index = take(digits, from.get(axes.get(i)));
      if (index.isEmpty()) {
        return false;
      }
      result.set(axes.get(i), index.get());
    }
    if (axes.isEmpty()) {
      return digits.isEmpty();
    }
    result.set(axes.get(0), Index.join(digits));
    return true;
  }

  /** Takes innermost digits that make up an axis of a size. */
  private static Optional<Index> take(List<Index.Digit> digits, Dim size) {
    List<Index.Digit> taken = new ArrayList<>();
    Dim have = Dim.ONE;
    while (!have.equals(size)) {
      if (digits.isEmpty()) {
        return Optional.empty();
      }
      Index.Digit last = digits.remove(digits.size() - 1);
      if (size.isConstant() && have.isConstant() && last.size().isConstant()) {
        long wanted = size.constant().getAsLong() / Math.max(1, have.constant().getAsLong());
        long there = last.size().constant().getAsLong();
        if (there > wanted) {
          if (!(last.index() instanceof Index.At at) || wanted < 1 || there % wanted != 0) {
            return Optional.empty();
          }
          digits.add(new Index.Digit(new Index.At(at.number() / wanted), Dim.of(there / wanted)));
          last = new Index.Digit(new Index.At(at.number() % wanted), Dim.of(wanted));
        }
      } else if (size.isConstant()) {
        return Optional.empty();
      }
      taken.add(0, last);
      have = have.times(last.size());
    }
    return Optional.of(Index.join(taken));
  }

  private static List<Group> groups(List<Dim> from, List<Dim> to) {
    List<Integer> left = axes(from);
    List<Integer> right = axes(to);
    List<Group> groups = new ArrayList<>();
    while (!left.isEmpty() && !right.isEmpty()) {
      Optional<Group> group = ends(left, right, from, to, true);
      if (group.isEmpty()) {
        break;
      }
      add(group.get(), groups, left, right);
    }
    while (!left.isEmpty() && !right.isEmpty()) {
      Optional<Group> group = ends(left, right, from, to, false);
      if (group.isEmpty()) {
        break;
      }
      add(group.get(), groups, left, right);
    }
    if (!left.isEmpty() || !right.isEmpty()) {
      groups.add(new Group(List.copyOf(left), List.copyOf(right)));
    }
    return groups;
  }

  private static void add(
      Group group, List<Group> groups, List<Integer> left, List<Integer> right) {
    groups.add(group);
    left.removeAll(group.from());
    right.removeAll(group.to());
  }

  /** The axes that are not 1. */
  private static List<Integer> axes(List<Dim> dims) {
    List<Integer> axes = new ArrayList<>();
    for (int i = 0; i < dims.size(); i++) {
      if (!dims.get(i).is(1)) {
        axes.add(i);
      }
    }
    return axes;
  }

  /** The least runs at the beginning, or at the end, that have the same size. */
  private static Optional<Group> ends(
      List<Integer> left, List<Integer> right, List<Dim> from, List<Dim> to, boolean first) {
    for (int total = 2; total <= left.size() + right.size(); total++) {
      for (int a = Math.max(1, total - right.size()); a < total && a <= left.size(); a++) {
        List<Integer> some = end(left, a, first);
        List<Integer> others = end(right, total - a, first);
        if (product(some, from).equals(product(others, to))) {
          return Optional.of(new Group(List.copyOf(some), List.copyOf(others)));
        }
      }
    }
    return Optional.empty();
  }

  private static List<Integer> end(List<Integer> axes, int count, boolean first) {
    return first ? axes.subList(0, count) : axes.subList(axes.size() - count, axes.size());
  }

  private static Dim product(List<Integer> axes, List<Dim> dims) {
    return Dim.product(axes.stream().map(dims::get).toList());
  }
}
