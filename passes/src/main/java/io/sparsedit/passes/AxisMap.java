package io.sparsedit.passes;

import io.sparsedit.compiler.shape.Dim;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/** Which axes of a tensor become which when it is reshaped. Elements keep their order. */
final class AxisMap {
  private AxisMap() {}

  /**
   * Consecutive axes.
   *
   * @param from the first
   * @param to the one after the last
   */
  record Group(int from, int to) {
    List<Dim> of(List<Dim> dims) {
      return dims.subList(from, to);
    }
  }

  /** The axis of {@code from} that is the given axis of {@code to}, if one is. */
  static OptionalInt same(List<Dim> from, List<Dim> to, int axis) {
    Dim before = Dim.product(to.subList(0, axis));
    Dim after = Dim.product(to.subList(axis + 1, to.size()));
    for (int i = 0; i < from.size(); i++) {
      if (from.get(i).equals(to.get(axis))
          && (Dim.product(from.subList(0, i)).equals(before)
              || Dim.product(from.subList(i + 1, from.size())).equals(after))) {
        return OptionalInt.of(i);
      }
    }
    return OptionalInt.empty();
  }

  /** The axis of {@code from} that may be the given axis of {@code to} if sizes are baked in. */
  static OptionalInt possiblySame(List<Dim> from, List<Dim> to, int axis) {
    Dim before = Dim.product(to.subList(0, axis));
    Dim after = Dim.product(to.subList(axis + 1, to.size()));
    OptionalInt best = OptionalInt.empty();
    int bestProven = -1;
    for (int i = 0; i < from.size(); i++) {
      Dim left = Dim.product(from.subList(0, i));
      Dim right = Dim.product(from.subList(i + 1, from.size()));
      int proven = (left.equals(before) ? 1 : 0) + (right.equals(after) ? 1 : 0);
      if (mayEqual(from.get(i), to.get(axis))
          && mayEqual(left, before)
          && mayEqual(right, after)
          && proven > bestProven) {
        bestProven = proven;
        best = OptionalInt.of(i);
      }
    }
    return best;
  }

  /** The axes of {@code from}, more than one, that the given axis of {@code to} joins. */
  static Optional<Group> joined(List<Dim> from, List<Dim> to, int axis) {
    Dim before = Dim.product(to.subList(0, axis));
    // Where sizes of 1 leave a choice, axes keep their place.
    for (int i = 0; i < from.size(); i++) {
      int first = (axis + i) % from.size();
      if (!Dim.product(from.subList(0, first)).equals(before)) {
        continue;
      }
      for (int end = first + 2; end <= from.size(); end++) {
        if (Dim.product(from.subList(first, end)).equals(to.get(axis))) {
          return Optional.of(new Group(first, end));
        }
      }
    }
    return Optional.empty();
  }

  /** The axis of {@code from} that the given axis of {@code to} is a part of. */
  static OptionalInt splitFrom(List<Dim> from, List<Dim> to, int axis) {
    for (int i = 0; i < from.size(); i++) {
      Dim before = Dim.product(from.subList(0, i));
      for (int first = 0; first <= axis; first++) {
        if (!Dim.product(to.subList(0, first)).equals(before)) {
          continue;
        }
        for (int end = axis + 1; end <= to.size(); end++) {
          if (end - first > 1 && Dim.product(to.subList(first, end)).equals(from.get(i))) {
            return OptionalInt.of(i);
          }
        }
      }
    }
    return OptionalInt.empty();
  }

  /** Whether two sizes are equal, or one is a number that the exporter may have baked in. */
  static boolean mayEqual(Dim a, Dim b) {
    return a.equals(b) || a.isConstant() != b.isConstant();
  }
}
