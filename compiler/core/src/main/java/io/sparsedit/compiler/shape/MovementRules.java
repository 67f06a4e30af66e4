package io.sparsedit.compiler.shape;

import static io.sparsedit.compiler.shape.ShapeRules.register;

import io.sparsedit.compiler.ir.DataType;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Operators that rearrange, join, split, repeat and pad. */
final class MovementRules {
  private MovementRules() {}

  static void addTo(Map<String, ShapeRule> table) {
    register(table, MovementRules::reshape, "Reshape");
    register(table, MovementRules::transpose, "Transpose");
    register(table, MovementRules::squeeze, "Squeeze");
    register(table, MovementRules::unsqueeze, "Unsqueeze");
    register(table, MovementRules::flatten, "Flatten");
    register(table, MovementRules::expand, "Expand");
    register(table, MovementRules::tile, "Tile");
    register(table, MovementRules::concat, "Concat");
    register(table, MovementRules::split, "Split");
    register(table, MovementRules::pad, "Pad");
    register(table, MovementRules::depthToSpace, "DepthToSpace");
    register(table, MovementRules::spaceToDepth, "SpaceToDepth");
  }

  // ---- Reshape ----------------------------------------------------------------------------------

  private static void reshape(Call call) {
    call.type(0, call.type(0));
    Optional<Shape> input = call.knownShape(0);
    List<Scalar> target = reshapeTarget(call);
    boolean allowZero = call.longAttribute("allowzero", 0) == 1;
    List<Dim> dims = new ArrayList<>();
    List<Integer> holes = new ArrayList<>();
    for (int i = 0; i < target.size(); i++) {
      Optional<Dim> dim = target.get(i).dim();
      if (dim.isPresent() && dim.get().is(0) && !allowZero) {
        int axis = i;
        dims.add(
            input
                .filter(s -> axis < s.rank())
                .map(s -> s.dim(axis))
                .orElseGet(() -> call.fresh(0, axis)));
      } else if (dim.isPresent() && !dim.get().is(-1) && !dim.get().readsData()) {
        dims.add(dim.get());
      } else {
        holes.add(i);
        dims.add(dim.filter(d -> !d.is(-1)).orElseGet(() -> call.fresh(0, dims.size())));
      }
    }
    if (holes.size() == 1 && input.isPresent()) {
      int hole = holes.get(0);
      List<Dim> others = new ArrayList<>(dims);
      others.remove(hole);
      quotientOfProducts(input.get().dims(), others)
          .ifPresent(
              rest -> {
                boolean better = !dims.get(hole).readsData() || !rest.readsData();
                dims.set(hole, better ? rest : dims.get(hole));
              });
    }
    call.shape(0, new Shape(dims));
    move(call, v -> v.reshape(call.sizes(0)));
  }

  private static List<Scalar> reshapeTarget(Call call) {
    if (!call.has(1)) {
      // Until operator set 4 the target is an attribute.
      long[] shape = call.longsAttribute("shape").orElseThrow(() -> call.unknown("the target"));
      return java.util.Arrays.stream(shape).mapToObj(Scalar::of).toList();
    }
    Optional<Partial> value = call.value(1);
    if (value.isPresent()) {
      return value.get().elements();
    }
    Dim rank = call.shape(1).dim(0);
    if (!rank.isConstant()) {
      throw call.unknown("the length of the target shape");
    }
    return Collections.nCopies((int) rank.offset(), Scalar.unknown());
  }

  /** The product of the first over that of the others, equal factors left out. */
  private static Optional<Dim> quotientOfProducts(List<Dim> all, List<Dim> others) {
    List<Dim> rest = new ArrayList<>(all);
    List<Dim> divisors = new ArrayList<>();
    for (Dim other : others) {
      if (!rest.remove(other)) {
        divisors.add(other);
      }
    }
    Dim divisor = Dim.product(divisors);
    return divisor.is(0) ? Optional.empty() : Optional.of(Dim.product(rest).floorDiv(divisor));
  }

  /** Carries the elements over, if they are known and the output is followed. */
  private static void move(Call call, java.util.function.UnaryOperator<Partial> function) {
    if (call.follows(0)) {
      call.knownValue(0).ifPresent(v -> call.value(0, function.apply(v)));
    }
  }

  // ---- the others -------------------------------------------------------------------------------

  private static void transpose(Call call) {
    call.type(0, call.type(0));
    Shape shape = call.shape(0);
    Optional<long[]> given = call.longsAttribute("perm");
    int[] permutation = new int[shape.rank()];
    List<Dim> dims = new ArrayList<>();
    for (int i = 0; i < permutation.length; i++) {
      permutation[i] =
          given.isPresent() ? call.axis(given.get()[i], shape.rank()) : shape.rank() - 1 - i;
      dims.add(shape.dim(permutation[i]));
    }
    call.shape(0, new Shape(dims));
    move(call, v -> v.transpose(permutation));
  }

  private static void squeeze(Call call) {
    call.type(0, call.type(0));
    Shape shape = call.shape(0);
    Optional<long[]> axes = call.axes(1);
    Set<Integer> dropped = new HashSet<>();
    if (axes.isPresent()) {
      for (long axis : axes.get()) {
        dropped.add(call.axis(axis, shape.rank()));
      }
    } else {
      for (int i = 0; i < shape.rank(); i++) {
        if (!shape.dim(i).isConstant()) {
          throw call.unknown("whether dimension " + shape.dim(i) + " is 1");
        }
        if (shape.dim(i).is(1)) {
          dropped.add(i);
        }
      }
    }
    List<Dim> dims = new ArrayList<>();
    for (int i = 0; i < shape.rank(); i++) {
      if (!dropped.contains(i)) {
        dims.add(shape.dim(i));
      }
    }
    call.shape(0, new Shape(dims));
    move(call, v -> v.reshape(call.sizes(0)));
  }

  private static void unsqueeze(Call call) {
    call.type(0, call.type(0));
    Shape shape = call.shape(0);
    long[] axes = call.axes(1).orElseThrow(() -> call.unknown("the axes"));
    int rank = shape.rank() + axes.length;
    Set<Integer> added = new HashSet<>();
    for (long axis : axes) {
      added.add(call.axis(axis, rank));
    }
    List<Dim> dims = new ArrayList<>();
    int next = 0;
    for (int i = 0; i < rank; i++) {
      dims.add(added.contains(i) ? Dim.ONE : shape.dim(next++));
    }
    call.shape(0, new Shape(dims));
    move(call, v -> v.reshape(call.sizes(0)));
  }

  private static void flatten(Call call) {
    call.type(0, call.type(0));
    Shape shape = call.shape(0);
    long axis = call.longAttribute("axis", 1);
    int split = axis == shape.rank() ? shape.rank() : call.axis(axis, Math.max(shape.rank(), 1));
    call.shape(
        0,
        Shape.of(
            shape.slice(0, split).elementCount(), shape.slice(split, shape.rank()).elementCount()));
    move(call, v -> v.reshape(call.sizes(0)));
  }

  private static void expand(Call call) {
    call.type(0, call.type(0));
    Shape shape = call.shape(0);
    Optional<Partial> target = call.value(1);
    int length =
        target.isPresent()
            ? target.get().size()
            : (int)
                call.shape(1)
                    .dim(0)
                    .constant()
                    .orElseThrow(() -> call.unknown("the length of the target shape"));
    int rank = Math.max(length, shape.rank());
    List<Dim> dims = new ArrayList<>();
    for (int i = 0; i < rank; i++) {
      int from = i - (rank - shape.rank());
      int to = i - (rank - length);
      Dim own = from < 0 ? Dim.ONE : shape.dim(from);
      Optional<Dim> wanted =
          to < 0 ? Optional.of(Dim.ONE) : target.flatMap(t -> t.element(to).dim());
      if (wanted.isPresent()) {
        dims.add(
            Shape.broadcast(Shape.of(own), Shape.of(wanted.get()))
                .orElseThrow(() -> call.invalid(own + " does not expand to " + wanted.get()))
                .dim(0));
      } else {
        dims.add(own.isConstant() && !own.is(1) ? own : call.fresh(0, i));
      }
    }
    call.shape(0, new Shape(dims));
    move(call, v -> v.expand(call.sizes(0)));
  }

  private static void tile(Call call) {
    call.type(0, call.type(0));
    Shape shape = call.shape(0);
    Optional<Partial> repeats = call.value(1);
    List<Dim> dims = new ArrayList<>();
    for (int i = 0; i < shape.rank(); i++) {
      int axis = i;
      dims.add(
          repeats
              .flatMap(r -> r.element(axis).dim())
              .map(r -> shape.dim(axis).times(r))
              .orElseGet(() -> call.fresh(0, axis)));
    }
    call.shape(0, new Shape(dims));
    boolean simple = call.knownShape(0).filter(s -> s.rank() == 1).isPresent();
    if (simple) {
      move(
          call,
          v -> {
            int copies = v.size() == 0 ? 0 : (int) (call.sizes(0)[0] / v.size());
            return copies == 0
                ? v.reshape(call.sizes(0))
                : Partial.concat(Collections.nCopies(copies, v), 0);
          });
    }
  }

  private static void concat(Call call) {
    int count = call.inputCount();
    int[] all = new int[count];
    for (int i = 0; i < count; i++) {
      all[i] = i;
    }
    DataType type = call.firstType(all);
    call.type(0, type);
    Shape result = call.shape(0);
    int axis = call.axis(call.longAttribute("axis", 1), result.rank());
    for (int i = 1; i < count; i++) {
      Shape next = call.shape(i);
      if (next.rank() != result.rank()) {
        throw call.invalid("shapes " + result + " and " + next + " do not concatenate");
      }
      for (int d = 0; d < result.rank(); d++) {
        Dim joined =
            d == axis ? result.dim(d).plus(next.dim(d)) : Shape.agree(result.dim(d), next.dim(d));
        result = result.with(d, joined);
      }
    }
    call.shape(0, result);
    if (!call.follows(0)) {
      return;
    }
    List<Partial> parts = new ArrayList<>();
    boolean any = false;
    for (int i = 0; i < count; i++) {
      any |= call.hasValue(i);
    }
    for (int i = 0; i < count && any; i++) {
      Optional<long[]> sizes = call.shape(i).sizes();
      Optional<Partial> part = call.value(i);
      if (part.isEmpty() && (type.isFloating() || sizes.isEmpty())) {
        return;
      }
      parts.add(part.orElseGet(() -> unknown(type, sizes.orElseThrow())));
    }
    if (any) {
      call.value(0, Partial.concat(parts, axis));
    }
  }

  private static Partial unknown(DataType type, long[] sizes) {
    int count = (int) java.util.Arrays.stream(sizes).reduce(1, (a, b) -> a * b);
    return Partial.of(type, sizes, Collections.nCopies(count, Scalar.unknown()));
  }

  private static void split(Call call) {
    int parts = call.outputCount();
    for (int i = 0; i < parts; i++) {
      call.type(i, call.type(0));
    }
    Shape shape = call.shape(0);
    int axis = call.axis(call.longAttribute("axis", 0), shape.rank());
    List<Dim> sizes = splitSizes(call, shape.dim(axis));
    for (int i = 0; i < parts; i++) {
      call.shape(i, shape.with(axis, sizes.get(i)));
    }
    Optional<Partial> value = call.knownValue(0);
    long position = 0;
    for (int i = 0; i < parts && value.isPresent() && call.follows(i); i++) {
      long[] positions = new long[(int) sizes.get(i).offset()];
      for (int k = 0; k < positions.length; k++) {
        positions[k] = position++;
      }
      call.value(i, value.get().take(axis, positions, new long[] {positions.length}));
    }
  }

  private static List<Dim> splitSizes(Call call, Dim whole) {
    int parts = call.outputCount();
    List<Dim> sizes = new ArrayList<>();
    Optional<long[]> attribute = call.longsAttribute("split");
    if (attribute.isPresent() || call.has(1)) {
      for (int i = 0; i < parts; i++) {
        int index = i;
        sizes.add(
            attribute.isPresent()
                ? Dim.of(attribute.get()[i])
                : call.value(1)
                    .flatMap(v -> v.element(index).dim())
                    .orElseGet(() -> call.fresh(index, 0)));
      }
      return sizes;
    }
    Dim chunk = whole.ceilDiv(Math.max(call.longAttribute("num_outputs", parts), 1));
    for (int i = 0; i < parts - 1; i++) {
      sizes.add(chunk);
    }
    sizes.add(whole.minus(chunk.times(parts - 1)));
    return sizes;
  }

  private static void pad(Call call) {
    call.type(0, call.type(0));
    Shape shape = call.shape(0);
    int rank = shape.rank();
    List<Scalar> pads =
        call.longsAttribute("pads")
            .map(p -> java.util.Arrays.stream(p).mapToObj(Scalar::of).toList())
            .orElseGet(() -> call.value(1).map(Partial::elements).orElse(List.of()));
    long[] axes = call.has(3) ? call.numbers(3) : axesOf(rank);
    List<Dim> dims = new ArrayList<>(shape.dims());
    for (int i = 0; i < axes.length; i++) {
      int axis = call.axis(axes[i], rank);
      Optional<Dim> before = i < pads.size() ? pads.get(i).dim() : Optional.empty();
      int behind = i + axes.length;
      Optional<Dim> after = behind < pads.size() ? pads.get(behind).dim() : Optional.empty();
      dims.set(
          axis,
          before.isPresent() && after.isPresent()
              ? shape.dim(axis).plus(before.get()).plus(after.get())
              : call.fresh(0, axis));
    }
    call.shape(0, new Shape(dims));
  }

  private static long[] axesOf(int rank) {
    long[] axes = new long[rank];
    for (int i = 0; i < rank; i++) {
      axes[i] = i;
    }
    return axes;
  }

  private static void depthToSpace(Call call) {
    call.type(0, call.type(0));
    Shape s = call.shape(0);
    Dim block = Dim.of(call.longAttribute("blocksize", 1));
    call.shape(
        0,
        Shape.of(
            s.dim(0),
            s.dim(1).floorDiv(block.times(block)),
            s.dim(2).times(block),
            s.dim(3).times(block)));
  }

  private static void spaceToDepth(Call call) {
    call.type(0, call.type(0));
    Shape s = call.shape(0);
    Dim block = Dim.of(call.longAttribute("blocksize", 1));
    call.shape(
        0,
        Shape.of(
            s.dim(0),
            s.dim(1).times(block.times(block)),
            s.dim(2).floorDiv(block),
            s.dim(3).floorDiv(block)));
  }
}
