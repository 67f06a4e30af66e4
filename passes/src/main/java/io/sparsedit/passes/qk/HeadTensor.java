package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A tensor that holds all heads of all its tokens: {@code [B,S,H,D]}, {@code [B,H,S,D]}, {@code
 * [B,S,H*D]}, or one of these with axes of size 1.
 *
 * @param value the tensor
 * @param axes what each axis is
 * @param offset index of a token along its axis, minus its index in Q
 */
record HeadTensor(Value value, List<Axis> axes, Dim offset) {
  /** What an axis is. */
  enum Axis {
    BATCH,
    TOKEN,
    HEAD,
    LANE,
    HEAD_AND_LANE,
    UNIT
  }

  /** The axis of the tokens. */
  int tokenAxis() {
    return axes.indexOf(Axis.TOKEN);
  }

  /** Whether heads stand before tokens. */
  boolean headsFirst() {
    int heads = axes.indexOf(Axis.HEAD);
    return heads >= 0 && heads < tokenAxis();
  }

  /** The lane of an element. */
  long laneOf(List<Index> at) {
    Index index = at.get(Math.max(axes.indexOf(Axis.LANE), axes.indexOf(Axis.HEAD_AND_LANE)));
    if (index instanceof Index.Joined joined) {
      index = joined.digits().get(1).index();
    }
    return ((Index.At) index).number();
  }

  boolean hasBatch() {
    return axes.contains(Axis.BATCH);
  }

  /**
   * The tensor, if the elements that Q uses of it are whole heads.
   *
   * @param used the elements that Q uses
   * @param head the size of Q's axes
   */
  static Optional<HeadTensor> of(
      Value value, Collection<List<Index>> used, Head head, ValueFacts facts) {
    Optional<List<Dim>> dims = facts.shape(value);
    if (dims.isEmpty() || used.size() != head.dim()) {
      return Optional.empty();
    }
    Set<Long> lanes = new HashSet<>();
    Optional<HeadTensor> tensor = Optional.empty();
    for (List<Index> at : used) {
      Optional<HeadTensor> one = of(value, at, dims.get(), head, lanes);
      if (one.isEmpty() || (tensor.isPresent() && !tensor.equals(one))) {
        return Optional.empty();
      }
      tensor = one;
    }
    boolean all = lanes.size() == head.dim();
    return all ? tensor.filter(found -> found.isWhole(dims.get(), head)) : Optional.empty();
  }

  private static Optional<HeadTensor> of(
      Value value, List<Index> at, List<Dim> dims, Head head, Set<Long> lanes) {
    List<Axis> axes = new ArrayList<>();
    Dim offset = Dim.ZERO;
    for (int i = 0; i < dims.size(); i++) {
      Index index = at.get(i);
      if (dims.get(i).is(1) && !(index instanceof Index.Along along && along.symbol().isToken())) {
        axes.add(Axis.UNIT);
      } else if (index instanceof Index.At lane && lane.number() < head.dim()) {
        axes.add(Axis.LANE);
        lanes.add(lane.number());
      } else if (index instanceof Index.Along along) {
        axes.add(axis(along.symbol()));
        if (along.symbol().isToken()) {
          offset = along.offset();
        } else if (!along.offset().is(0)) {
          return Optional.empty();
        }
      } else if (index instanceof Index.Joined joined
          && joined.digits().size() == 2
          && joined.digits().get(0).index() instanceof Index.Along along
          && along.symbol().name().equals(Symbol.HEAD)
          && along.offset().is(0)
          && joined.digits().get(1).index() instanceof Index.At lane
          && joined.digits().get(1).size().is(head.dim())) {
        axes.add(Axis.HEAD_AND_LANE);
        lanes.add(lane.number());
      } else {
        return Optional.empty();
      }
    }
    return Optional.of(new HeadTensor(value, axes, offset));
  }

  private static Axis axis(Symbol symbol) {
    return switch (symbol.name()) {
      case Symbol.BATCH -> Axis.BATCH;
      case Symbol.HEAD -> Axis.HEAD;
      default -> Axis.TOKEN;
    };
  }

  private boolean isWhole(List<Dim> dims, Head head) {
    List<Axis> present = axes.stream().filter(axis -> axis != Axis.UNIT).toList();
    boolean joined = present.contains(Axis.HEAD_AND_LANE);
    boolean distinct = new HashSet<>(present).size() == present.size();
    boolean heads = joined || present.contains(Axis.HEAD) || head.heads().is(1);
    boolean lanes = joined != present.contains(Axis.LANE);
    boolean batch = present.contains(Axis.BATCH) || head.batch().is(1);
    if (!distinct || !heads || !lanes || !batch || !present.contains(Axis.TOKEN)) {
      return false;
    }
    Dim wide = dims.get(Math.max(axes.indexOf(Axis.LANE), axes.indexOf(Axis.HEAD_AND_LANE)));
    return wide.equals(joined ? head.heads().times(head.dim()) : Dim.of(head.dim()));
  }
}
