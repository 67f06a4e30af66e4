package io.sparsedit.compiler.shape;

import static io.sparsedit.compiler.shape.ShapeRules.register;

import io.sparsedit.compiler.ir.DataType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Operators that read or write at positions. */
final class IndexingRules {
  /** Ends from here on mean "to the end"; exporters write INT32_MAX as well as INT64_MAX. */
  private static final long FAR = Integer.MAX_VALUE;

  private IndexingRules() {}

  static void addTo(Map<String, ShapeRule> table) {
    register(table, IndexingRules::slice, "Slice");
    register(table, IndexingRules::gather, "Gather");
    register(table, IndexingRules::gatherElements, "GatherElements");
    register(table, IndexingRules::gatherNd, "GatherND");
    register(table, ElementwiseRules::same, "Scatter", "ScatterElements", "TensorScatter");
    register(table, IndexingRules::scatterNd, "ScatterND");
    register(table, IndexingRules::topK, "TopK");
    register(table, IndexingRules::nonZero, "NonZero");
    register(table, IndexingRules::oneHot, "OneHot");
    register(table, IndexingRules::compress, "Compress");
    register(table, IndexingRules::unique, "Unique");
    register(table, IndexingRules::multinomial, "Multinomial");
  }

  // ---- Slice ------------------------------------------------------------------------------------

  private static void slice(Call call) {
    call.type(0, call.type(0));
    Shape shape = call.shape(0);
    boolean byAttribute = call.longsAttribute("starts").isPresent();
    List<Scalar> starts = byAttribute ? attribute(call, "starts") : bounds(call, 1);
    List<Scalar> ends = byAttribute ? attribute(call, "ends") : bounds(call, 2);
    long[] axes = sliceAxes(call, starts.size());
    long[] steps = new long[starts.size()];
    Arrays.fill(steps, 1);
    if (!byAttribute && call.has(4)) {
      List<Scalar> given = bounds(call, 4);
      // A step of 0 is not legal and stands for one that is not known.
      Arrays.setAll(steps, i -> given.get(i).number().orElse(0));
    }
    Optional<Partial> value = call.knownValue(0);
    for (int i = 0; i < starts.size(); i++) {
      int axis = call.axis(axes[i], shape.rank());
      Dim size = shape.dim(axis);
      Optional<Dim> start = starts.get(i).dim();
      Optional<Dim> end = ends.get(i).dim();
      Optional<Dim> length =
          start.isPresent() && end.isPresent()
              ? length(size, start.get(), end.get(), steps[i])
              : Optional.empty();
      shape = shape.with(axis, length.orElseGet(() -> call.fresh(0, axis)));
      if (value.isPresent() && start.isPresent() && length.isPresent()) {
        value = slice(value.get(), axis, start.get(), length.get(), steps[i]);
      } else {
        value = Optional.empty();
      }
    }
    call.shape(0, shape);
    value.ifPresent(v -> call.value(0, v));
  }

  private static List<Scalar> attribute(Call call, String name) {
    long[] values = call.longsAttribute(name).orElseThrow(() -> call.unknown(name));
    return Arrays.stream(values).mapToObj(Scalar::of).toList();
  }

  private static List<Scalar> bounds(Call call, int input) {
    Optional<Partial> value = call.value(input);
    if (value.isPresent()) {
      return value.get().elements();
    }
    Dim count = call.shape(input).dim(0);
    if (!count.isConstant()) {
      throw call.unknown("how many axes are sliced");
    }
    return java.util.Collections.nCopies((int) count.offset(), Scalar.unknown());
  }

  private static long[] sliceAxes(Call call, int count) {
    Optional<long[]> axes = call.axes(3);
    if (axes.isPresent()) {
      return axes.get();
    }
    long[] leading = new long[count];
    Arrays.setAll(leading, i -> i);
    return leading;
  }

  /** The number of positions between two bounds, as Slice counts them; empty if it is not known. */
  static Optional<Dim> length(Dim size, Dim start, Dim end, long step) {
    if (step == 0) {
      return Optional.empty();
    }
    if (step < 0) {
      return reversedLength(size, start, end, step);
    }
    Optional<Dim> from = position(size, start);
    Optional<Dim> to = position(size, end);
    if (from.isEmpty() || to.isEmpty()) {
      return Optional.empty();
    }
    Dim span;
    boolean toTheEnd = to.get().equals(size);
    if (toTheEnd && start.negate().isAtLeast(Dim.ONE)) {
      // The last k elements: n - max(0, n - k) = min(n, k).
      span = size.min(start.negate());
    } else if (toTheEnd) {
      // Without the first k elements: n - min(k, n) = max(n - k, 0).
      span =
          start.isConstant() && start.offset() >= FAR ? Dim.ZERO : size.minus(start).max(Dim.ZERO);
    } else {
      span = to.get().minus(from.get()).max(Dim.ZERO);
    }
    return Optional.of(span.ceilDiv(step));
  }

  private static Optional<Dim> position(Dim size, Dim bound) {
    if (bound.isConstant() && bound.offset() >= FAR) {
      return Optional.of(size);
    }
    if (bound.isConstant() && bound.offset() <= -FAR) {
      return Optional.of(Dim.ZERO);
    }
    if (bound.isAtLeast(Dim.ZERO)) {
      return Optional.of(bound.min(size));
    }
    if (bound.negate().isAtLeast(Dim.ONE)) {
      return Optional.of(size.plus(bound).max(Dim.ZERO));
    }
    return Optional.empty();
  }

  private static Optional<Dim> reversedLength(Dim size, Dim start, Dim end, long step) {
    Optional<Dim> from = reversedPosition(size, start);
    Optional<Dim> to = reversedPosition(size, end);
    if (from.isEmpty() || to.isEmpty()) {
      return Optional.empty();
    }
    return Optional.of(from.get().minus(to.get()).max(Dim.ZERO).ceilDiv(-step));
  }

  /** A bound as a position from -1, before the first element, to the last one. */
  private static Optional<Dim> reversedPosition(Dim size, Dim bound) {
    Dim last = size.minus(1);
    if (bound.isConstant() && (bound.offset() >= FAR || bound.offset() <= -FAR)) {
      return Optional.of(bound.offset() > 0 ? last : Dim.of(-1));
    }
    if (bound.isAtLeast(Dim.ZERO)) {
      return Optional.of(bound.min(last));
    }
    if (bound.negate().isAtLeast(Dim.ONE)) {
      return Optional.of(size.plus(bound).max(Dim.of(-1)));
    }
    return Optional.empty();
  }

  private static long first(long size, long start, long step) {
    long normal = start < 0 ? Math.max(start, -size - 1) + size : start;
    return step < 0
        ? Math.min(Math.max(normal, -1), size - 1)
        : Math.min(Math.max(normal, 0), size);
  }

  private static Optional<Partial> slice(
      Partial value, int axis, Dim start, Dim length, long step) {
    if (!start.isConstant() || !length.isConstant()) {
      return Optional.empty();
    }
    long[] positions = new long[(int) length.offset()];
    long from = first(value.dims()[axis], start.offset(), step);
    for (int i = 0; i < positions.length; i++) {
      positions[i] = from + i * step;
    }
    return Optional.of(value.take(axis, positions, new long[] {positions.length}));
  }

  // ---- Gather and Scatter -----------------------------------------------------------------------

  private static void gather(Call call) {
    call.type(0, call.type(0));
    Shape data = call.shape(0);
    Shape indices = call.shape(1);
    int axis = call.axis(call.longAttribute("axis", 0), data.rank());
    call.shape(0, data.slice(0, axis).plus(indices).plus(data.slice(axis + 1, data.rank())));
    if (!call.follows(0)) {
      return;
    }
    Optional<Partial> value = call.knownValue(0);
    Optional<Partial> positions = call.knownValue(1).filter(Partial::isConstant);
    if (value.isEmpty() || positions.isEmpty()) {
      return;
    }
    long size = value.get().dims()[axis];
    long[] normal =
        positions.get().elements().stream()
            .mapToLong(e -> e.number().orElse(size))
            .map(p -> p < 0 ? p + size : p)
            .toArray();
    if (Arrays.stream(normal).anyMatch(p -> p < 0 || p >= size)) {
      throw call.invalid("an index is outside of the " + size + " elements along axis " + axis);
    }
    call.value(0, value.get().take(axis, normal, positions.get().dims()));
  }

  private static void gatherElements(Call call) {
    call.type(0, call.type(0));
    call.shape(0, call.shape(1));
  }

  private static void gatherNd(Call call) {
    call.type(0, call.type(0));
    Shape data = call.shape(0);
    Shape indices = call.shape(1);
    int batch = call.intAttribute("batch_dims", 0);
    Dim depth = indices.dim(-1);
    if (!depth.isConstant()) {
      throw call.unknown("the last dimension of the indices");
    }
    call.shape(
        0,
        indices
            .slice(0, indices.rank() - 1)
            .plus(data.slice(batch + (int) depth.offset(), data.rank())));
  }

  private static void scatterNd(Call call) {
    ElementwiseRules.same(call);
    Optional<Partial> data = call.follows(0) ? call.knownValue(0) : Optional.empty();
    Optional<Partial> indices = call.knownValue(1).filter(Partial::isConstant);
    Optional<Partial> updates = call.knownValue(2);
    boolean plain = call.stringAttribute("reduction", "none").equals("none");
    boolean vector = data.isPresent() && data.get().rank() == 1;
    if (!plain || !vector || indices.isEmpty() || updates.isEmpty()) {
      return;
    }
    List<Scalar> elements = new ArrayList<>(data.get().elements());
    for (int i = 0; i < indices.get().size(); i++) {
      long position = indices.get().element(i).number().orElseThrow();
      long normal = position < 0 ? position + elements.size() : position;
      elements.set((int) normal, updates.get().element(i));
    }
    call.value(0, Partial.of(call.type(0), call.sizes(0), elements));
  }

  // ---- the others -------------------------------------------------------------------------------

  private static void topK(Call call) {
    call.type(0, call.type(0));
    call.type(1, DataType.INT64);
    Shape shape = call.shape(0);
    int axis = call.axis(call.longAttribute("axis", -1), shape.rank());
    Optional<Dim> count =
        call.has(1)
            ? call.value(1).flatMap(v -> v.element(0).dim())
            : Optional.of(Dim.of(call.longAttribute("k", 0)));
    Shape result = shape.with(axis, count.orElseGet(() -> call.fresh(0, axis)));
    call.shape(0, result);
    call.shape(1, result);
  }

  private static void nonZero(Call call) {
    call.type(0, DataType.INT64);
    Shape shape = call.shape(0);
    call.shape(0, Shape.of(Dim.of(Math.max(shape.rank(), 1)), call.fresh(0, 1)));
    Optional<Partial> value = call.knownValue(0).filter(Partial::isConstant);
    if (value.isEmpty() || value.get().rank() > 1) {
      return;
    }
    List<Scalar> positions = new ArrayList<>();
    for (int i = 0; i < value.get().size(); i++) {
      if (Arithmetic.isTrue(Arithmetic.truth(value.get().element(i)))) {
        positions.add(Scalar.of(i));
      }
    }
    long[] dims = {1, positions.size()};
    call.shape(0, Shape.of(dims));
    call.value(0, Partial.of(DataType.INT64, dims, positions));
  }

  private static void oneHot(Call call) {
    call.type(0, call.type(2));
    Shape indices = call.shape(0);
    int axis = call.axis(call.longAttribute("axis", -1), indices.rank() + 1);
    Dim depth =
        call.value(1)
            .map(v -> Arithmetic.truncate(v.element(0)))
            .flatMap(Scalar::dim)
            .orElseGet(() -> call.fresh(0, axis));
    call.shape(
        0, indices.slice(0, axis).plus(Shape.of(depth)).plus(indices.slice(axis, indices.rank())));
    Optional<Partial> positions = call.knownValue(0).filter(Partial::isConstant);
    Optional<Partial> values = call.knownValue(2);
    if (call.follows(0) && axis == indices.rank() && positions.isPresent() && values.isPresent()) {
      List<Scalar> elements = new ArrayList<>();
      for (Scalar position : positions.get().elements()) {
        long hot = Arithmetic.truncate(position).number().orElse(Long.MAX_VALUE);
        for (long i = 0; i < depth.offset(); i++) {
          boolean on = hot == i || hot == i - depth.offset();
          elements.add(values.get().element(on ? 1 : 0));
        }
      }
      call.value(0, Partial.of(call.type(2), call.sizes(0), elements));
    }
  }

  private static void compress(Call call) {
    call.type(0, call.type(0));
    if (call.attribute("axis").isEmpty()) {
      call.shape(0, Shape.of(call.fresh(0, 0)));
      return;
    }
    Shape shape = call.shape(0);
    int axis = call.axis(call.longAttribute("axis", 0), shape.rank());
    call.shape(0, shape.with(axis, call.fresh(0, axis)));
  }

  private static void unique(Call call) {
    call.type(0, call.type(0));
    for (int i = 1; i < call.outputCount(); i++) {
      call.type(i, DataType.INT64);
    }
    Dim count = call.fresh(0, 0);
    if (call.hasOutput(1)) {
      call.shape(1, Shape.of(count));
    }
    if (call.hasOutput(3)) {
      call.shape(3, Shape.of(count));
    }
    if (call.attribute("axis").isEmpty()) {
      call.shape(0, Shape.of(count));
      if (call.hasOutput(2)) {
        call.shape(2, Shape.of(call.shape(0).elementCount()));
      }
      return;
    }
    Shape shape = call.shape(0);
    int axis = call.axis(call.longAttribute("axis", 0), shape.rank());
    call.shape(0, shape.with(axis, count));
    if (call.hasOutput(2)) {
      call.shape(2, Shape.of(shape.dim(axis)));
    }
  }

  private static void multinomial(Call call) {
    call.type(0, call.typeAttribute("dtype", DataType.INT32));
    call.shape(0, Shape.of(call.shape(0).dim(0), Dim.of(call.longAttribute("sample_size", 1))));
  }
}
