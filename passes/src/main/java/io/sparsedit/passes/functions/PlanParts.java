package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.stream.LongStream;

/** Plan tensors of one head, written and read: what every planner and the attention share. */
final class PlanParts {
  private static final int WORD = 32;

  private PlanParts() {}

  private static Value bitValues(Ops ops) {
    return ops.i64s("bit_values", LongStream.range(0, WORD).map(bit -> 1L << bit).toArray());
  }

  /**
   * The keep map as words.
   *
   * @param keep i64 {@code [Nq,Nk]}, 0 or 1
   * @return i32 {@code [Nq,ceil(Nk/32)]}: segment j is bit j%32 of word j/32, LSB first; bits past
   *     Nk are 0
   */
  static Value packKeep(Ops ops, Value keep) {
    Value rows = ops.dim(keep, 0);
    Value columns = ops.dim(keep, 1);
    Value words = ops.ceilDiv(columns, ops.i64(WORD));
    Value missing = ops.sub(ops.mul(words, ops.i64(WORD)), columns);
    Value padded = ops.concat(1, keep, ops.filled(0, ops.vector(rows, missing)));
    Value bits = ops.reshape(padded, ops.vector(rows, words, ops.i64(WORD)));
    Value unsigned = ops.sum(ops.mul(bits, bitValues(ops)), 2);
    // Words of 2^31 and above are the negative ones: bit 31 is the sign.
    Value wrapped = ops.sub(unsigned, ops.i64(1L << WORD));
    Value signed = ops.where(ops.less(unsigned, ops.i64(1L << (WORD - 1))), unsigned, wrapped);
    return ops.i32(signed);
  }

  /**
   * One row of the keep map.
   *
   * @param words i32 {@code [ceil(Nk/32)]}
   * @param segments Nk
   * @return bool {@code [Nk]}
   */
  static Value unpackKeep(Ops ops, Value words, Value segments) {
    Value unsigned = ops.mod(ops.i64(words), ops.i64(1L << WORD));
    Value shifted = ops.div(ops.unsqueeze(unsigned, 1), bitValues(ops));
    Value bits = ops.flatten(ops.mod(shifted, ops.i64(2)));
    return ops.bool(ops.slice(bits, ops.i64(0), segments));
  }

  /**
   * All rows of the keep map.
   *
   * @param words i32 {@code [Nq,ceil(Nk/32)]}
   * @param segments Nk
   * @return i64 {@code [Nq,Nk]}, 0 or 1
   */
  static Value unpackKeepRows(Ops ops, Value words, Value segments) {
    Value unsigned = ops.mod(ops.i64(words), ops.i64(1L << WORD));
    Value shifted = ops.div(ops.unsqueeze(unsigned, 2), bitValues(ops));
    Value bits = ops.mod(shifted, ops.i64(2));
    Value rows =
        ops.reshape(bits, ops.vector(ops.dim(words, 0), ops.mul(ops.dim(words, 1), ops.i64(WORD))));
    return ops.op("Slice", rows, ops.i64s(0), ops.asVector(segments), ops.i64s(1));
  }

  /**
   * The segment of each position.
   *
   * @param offsets i64 {@code [N+1]}
   * @param length S
   * @return i64 {@code [S]}; empty segments have no position
   */
  static Value segmentOfPosition(Ops ops, Value offsets, Value length) {
    // How many segments, the first not counted, start at a position or before it.
    Value last = ops.sub(ops.dim(offsets, 0), ops.i64(1));
    Value starts = ops.slice(offsets, ops.i64(1), last);
    Value startsHere = ops.histogram(starts, ops.add(length, ops.i64(1)));
    return ops.slice(ops.cumSum(startsHere, 0), ops.i64(0), length);
  }

  /**
   * The order of one head.
   *
   * @param order i32 {@code [S]}, or {@code [0]} for natural order
   * @param length S
   * @return i64 {@code [S]}: position to token
   */
  static Value orderOrNatural(Ops ops, Value order, Value length) {
    return ops.ifElse(
            "order",
            ops.equal(ops.dim(order, 0), ops.i64(0)),
            natural -> List.of(natural.range(length)),
            given -> List.of(given.i64(order)))
        .get(0);
  }

  /** Segment starts from sizes: i64 {@code [N]} to i64 {@code [N+1]}. */
  static Value offsets(Ops ops, Value sizes) {
    return ops.concat(0, ops.i64s(0), ops.cumSum(sizes, 0));
  }

  /** Segment sizes from starts: i64 {@code [N+1]} to i64 {@code [N]}. */
  static Value sizes(Ops ops, Value offsets) {
    Value count = ops.dim(offsets, 0);
    Value starts = ops.slice(offsets, ops.i64(0), ops.sub(count, ops.i64(1)));
    return ops.sub(ops.slice(offsets, ops.i64(1), count), starts);
  }

  /**
   * A keep map from a ranking of the key segments.
   *
   * @param keepRanked bool {@code [Nq,Nk]}: whether the segment of each rank is kept
   * @param ranking i64 {@code [Nq,Nk]}: the segment of each rank
   * @return i64 {@code [Nq,Nk]}, 0 or 1
   */
  static Value unrank(Ops ops, Value keepRanked, Value ranking) {
    Value kept = ops.cast(keepRanked, DataType.INT64);
    return ops.scatter(1, ops.filled(0, ops.shape(kept)), ranking, kept);
  }
}
