package io.sparsedit.passes.qk;

import io.sparsedit.passes.functions.RopeForm;
import java.util.List;

/**
 * A rotation of pairs of lanes, as found: {@code y = x cos + turn(x) sin}, where {@code turn} puts
 * the second lane of a pair, negated, in place of the first, and the first in place of the second.
 *
 * @param form which lanes make a pair
 * @param firstLane the first rotated lane of a head
 * @param cos for each rotated lane
 * @param sin for each rotated lane
 */
record Rotation(RopeForm form, int firstLane, List<TableLane> cos, List<TableLane> sin) {
  Rotation {
    cos = List.copyOf(cos);
    sin = List.copyOf(sin);
  }

  int lanes() {
    return cos.size();
  }
}
