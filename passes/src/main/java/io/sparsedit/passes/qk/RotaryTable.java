package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.IntStream;

/**
 * Builds a table of cosines or sines, f32 {@code [Bt,T,Ht,R]}, from the elements that a rotation
 * reads, whatever tensors they are in.
 *
 * <pre>
 *   freqs f32 [1,1,S,32], lanes 0 0 2 2 ...    Gather(Reshape(Transpose(freqs)), [0, 0, 2, 2, ...])
 * </pre>
 */
final class RotaryTable {
  /** What an axis of a table is. */
  private enum Role {
    BATCH,
    TOKEN,
    HEAD,
    LANE,
    HEAD_AND_LANE,
    UNIT
  }

  /**
   * How a tensor's elements make lanes of the table.
   *
   * @param value the tensor
   * @param roles what its axes are
   * @param offset row of a token, minus the token
   * @param lane place of each lane along the axes of lanes
   */
  private record Part(Value value, List<Role> roles, Dim offset, long lane) {
    boolean isLike(Part other) {
      return value == other.value && roles.equals(other.roles) && offset.equals(other.offset);
    }
  }

  private final Inserter inserter;
  private final ValueFacts facts;
  private final Head head;
  private final SizeValues sizes;

  RotaryTable(Inserter inserter, ValueFacts facts, Head head, SizeValues sizes) {
    this.inserter = inserter;
    this.facts = facts;
    this.head = head;
    this.sizes = sizes;
  }

  /**
   * The table; empty if it cannot be built.
   *
   * @param lanes what each lane is multiplied with
   * @param first the first rotated token
   * @param tokens how many
   * @param alone whether no other tokens are rotated: then all rows are theirs
   */
  Optional<Value> build(List<TableLane> lanes, Dim first, Dim tokens, boolean alone) {
    Map<Value, Value> normal = new LinkedHashMap<>();
    Map<Value, Part> like = new LinkedHashMap<>();
    Map<Value, Long> offsets = new LinkedHashMap<>();
    List<Part> parts = new ArrayList<>();
    for (TableLane lane : lanes) {
      Optional<Part> part = part(lane.element());
      if (part.isEmpty()) {
        return Optional.empty();
      }
      Part known = like.putIfAbsent(part.get().value(), part.get());
      if (known != null && !known.isLike(part.get())) {
        return Optional.empty();
      }
      parts.add(part.get());
    }
    long width = 0;
    for (Part part : like.values()) {
      OptionalLong count = laneCount(part);
      if (count.isEmpty() && like.size() > 1) {
        return Optional.empty();
      }
      Optional<Value> rows = normal(part, count).flatMap(t -> rows(t, part, first, tokens, alone));
      if (rows.isEmpty()) {
        return Optional.empty();
      }
      normal.put(part.value(), rows.get());
      offsets.put(part.value(), width);
      width += count.orElse(0);
    }
    if (like.values().stream().map(RotaryTable::broadcast).distinct().count() > 1) {
      return Optional.empty();
    }
    Value all = inserter.concat(3, List.copyOf(normal.values()));
    long[] places =
        parts.stream().mapToLong(p -> p.lane() + offsets.getOrDefault(p.value(), 0L)).toArray();
    boolean inOrder =
        width == places.length && IntStream.range(0, places.length).allMatch(i -> places[i] == i);
    Value picked = inOrder ? all : inserter.gather(3, all, inserter.ints("lanes", places));
    return Optional.of(signed(picked, lanes));
  }

  private Value signed(Value table, List<TableLane> lanes) {
    if (lanes.stream().allMatch(lane -> lane.sign() > 0)) {
      return table;
    }
    if (lanes.stream().allMatch(lane -> lane.sign() < 0)) {
      return inserter.op("Neg", table);
    }
    float[] signs = new float[lanes.size()];
    for (int i = 0; i < signs.length; i++) {
      signs[i] = (float) lanes.get(i).sign();
    }
    return inserter.op("Mul", table, inserter.floats("signs", signs));
  }

  /** Whether a table has axes of batch and heads. */
  private static List<Boolean> broadcast(Part part) {
    return List.of(
        part.roles().contains(Role.BATCH),
        part.roles().contains(Role.HEAD) || part.roles().contains(Role.HEAD_AND_LANE));
  }

  // ---- reading elements -------------------------------------------------------------------------

  private Optional<Part> part(Element element) {
    Optional<List<Dim>> dims = facts.shape(element.value());
    if (dims.isEmpty()) {
      return Optional.empty();
    }
    List<Role> roles = new ArrayList<>();
    Dim offset = Dim.ZERO;
    long place = 0;
    Value value = element.value();
    for (int axis = 0; axis < dims.get().size(); axis++) {
      Index index = element.at().get(axis);
      Dim size = dims.get().get(axis);
      if (index instanceof Index.Looked looked) {
        Optional<List<Role>> looksUp = looksUp(looked);
        if (looksUp.isEmpty() || axis > 0) {
          return Optional.empty();
        }
        roles.addAll(looksUp.get());
        value = gathered(value, looked);
      } else if (index instanceof Index.Along along) {
        roles.add(role(along.symbol()));
        if (along.symbol().isToken()) {
          offset = along.offset();
        } else if (!along.offset().is(0)) {
          return Optional.empty();
        }
      } else if (size.is(1)) {
        roles.add(Role.UNIT);
      } else if (index instanceof Index.At at) {
        // Behind an axis of unknown size lanes cannot be counted; in front of one they can.
        boolean first = !roles.contains(Role.LANE);
        if (!first && !size.isConstant()) {
          return Optional.empty();
        }
        place = (first ? 0 : place * size.constant().orElse(0)) + at.number();
        roles.add(Role.LANE);
      } else if (index instanceof Index.Joined joined
          && joined.digits().size() == 2
          && joined.digits().get(0).index() instanceof Index.Along along
          && along.symbol().name().equals(Symbol.HEAD)
          && along.offset().is(0)
          && joined.digits().get(1).index() instanceof Index.At at
          && size.equals(head.heads().times(joined.digits().get(1).size()))) {
        roles.add(Role.HEAD_AND_LANE);
        place = at.number();
      } else {
        return Optional.empty();
      }
    }
    boolean onceEach =
        List.of(Role.BATCH, Role.TOKEN, Role.HEAD, Role.HEAD_AND_LANE).stream()
            .allMatch(role -> roles.stream().filter(r -> r == role).count() <= 1);
    boolean lanesOnce = !(roles.contains(Role.LANE) && roles.contains(Role.HEAD_AND_LANE));
    return onceEach && lanesOnce && roles.contains(Role.TOKEN)
        ? Optional.of(new Part(value, roles, offset, place))
        : Optional.empty();
  }

  private static Role role(Symbol symbol) {
    return switch (symbol.name()) {
      case Symbol.BATCH -> Role.BATCH;
      case Symbol.HEAD -> Role.HEAD;
      default -> Role.TOKEN;
    };
  }

  private static Optional<List<Role>> looksUp(Index.Looked looked) {
    List<Role> roles = new ArrayList<>();
    for (Index index : looked.at()) {
      if (index instanceof Index.Along along && along.offset().is(0)) {
        roles.add(role(along.symbol()));
      } else if (index.equals(Index.FIRST)) {
        roles.add(Role.UNIT);
      } else {
        return Optional.empty();
      }
    }
    return Optional.of(roles);
  }

  private final Map<Index.Looked, Map<Value, Value>> gathers = new LinkedHashMap<>();

  private Value gathered(Value value, Index.Looked looked) {
    return gathers
        .computeIfAbsent(looked, l -> new LinkedHashMap<>())
        .computeIfAbsent(value, v -> inserter.gather(0, v, looked.indices()));
  }

  // ---- one tensor -------------------------------------------------------------------------------

  private List<Dim> dims(Part part) {
    Optional<List<Dim>> known = facts.shape(part.value());
    if (known.isPresent()) {
      return known.get();
    }
    // What was gathered just now: only its last axis matters, which the table had before.
    List<Dim> dims = new ArrayList<>();
    for (int i = 0; i < part.roles().size() - 1; i++) {
      dims.add(Dim.unknown(part.value().name() + "." + i));
    }
    Value table = part.value().producer().orElseThrow().requiredInput(0);
    List<Dim> before = facts.shape(table).orElseThrow();
    dims.add(before.get(before.size() - 1));
    return dims;
  }

  private OptionalLong laneCount(Part part) {
    if (part.roles().contains(Role.HEAD_AND_LANE)) {
      return OptionalLong.of(head.dim());
    }
    Dim count = Dim.ONE;
    for (int i = 0; i < part.roles().size(); i++) {
      if (part.roles().get(i) == Role.LANE) {
        count = count.times(dims(part).get(i));
      }
    }
    return count.constant();
  }

  /** {@code [Bt,rows,Ht,lanes]} in f32. */
  private Optional<Value> normal(Part part, OptionalLong lanes) {
    List<Integer> order = new ArrayList<>();
    for (Role role :
        List.of(Role.BATCH, Role.TOKEN, Role.HEAD, Role.LANE, Role.HEAD_AND_LANE, Role.UNIT)) {
      for (int i = 0; i < part.roles().size(); i++) {
        if (part.roles().get(i) == role) {
          order.add(i);
        }
      }
    }
    boolean heads = part.roles().contains(Role.HEAD) || part.roles().contains(Role.HEAD_AND_LANE);
    if (heads && !head.heads().isConstant()) {
      return Optional.empty();
    }
    Value table = inserter.transpose(part.value(), order);
    if (!part.roles().contains(Role.BATCH)) {
      table = inserter.op("Unsqueeze", table, inserter.ints("axes", 0));
    }
    long h = heads ? head.heads().constant().orElseThrow() : 1;
    table = inserter.reshape(table, 0, 0, h, lanes.orElse(-1));
    return Optional.of(
        facts.elementType(part.value()) == DataType.FLOAT
            ? table
            : inserter.cast(table, DataType.FLOAT));
  }

  private Optional<Value> rows(Value table, Part part, Dim first, Dim tokens, boolean alone) {
    Dim there = dims(part).get(part.roles().indexOf(Role.TOKEN));
    Dim row = first.plus(part.offset());
    if (there.equals(tokens)) {
      return Optional.of(table);
    }
    Optional<Value> count = sizes.of(tokens);
    if (alone && row.is(0) && !there.isAtLeast(tokens.plus(1))) {
      // As long as there are tokens, or one row for all: the rotation's product broadcasts it.
      Value one = inserter.ints("one", 1);
      return count.map(
          c -> inserter.op("Expand", table, inserter.concat(0, List.of(one, c, one, one))));
    }
    Optional<Value> start = sizes.of(row);
    if (start.isEmpty() || count.isEmpty()) {
      return Optional.empty();
    }
    Value end = inserter.op("Add", start.get(), count.get());
    return Optional.of(inserter.op("Slice", table, start.get(), end, inserter.ints("axes", 1)));
  }
}
