package io.sparsedit.compiler.shape;

import static io.sparsedit.compiler.shape.ShapeRules.register;

import io.sparsedit.compiler.ir.DataType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BinaryOperator;

/** Operators that fold axes into one element each. */
final class ReductionRules {
  private ReductionRules() {}

  static void addTo(Map<String, ShapeRule> table) {
    register(
        table,
        call -> reduce(call, Optional.empty()),
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMean",
        "ReduceSumSquare");
    reduction(table, "ReduceProd", Arithmetic::multiply);
    reduction(table, "ReduceSum", Arithmetic::add);
    reduction(table, "ReduceMax", Arithmetic::max);
    reduction(table, "ReduceMin", Arithmetic::min);
    register(table, ReductionRules::argument, "ArgMax", "ArgMin");
  }

  private static void reduction(
      Map<String, ShapeRule> table, String name, BinaryOperator<Scalar> function) {
    register(table, call -> reduce(call, Optional.of(function)), name);
  }

  private static void reduce(Call call, Optional<BinaryOperator<Scalar>> function) {
    call.type(0, call.type(0));
    Shape shape = call.shape(0);
    boolean keep = call.longAttribute("keepdims", 1) == 1;
    boolean[] reduced = axes(call, shape.rank(), keep);
    call.shape(0, reduce(shape, reduced, keep));
    Optional<Partial> value = call.follows(0) ? call.knownValue(0) : Optional.empty();
    // The order of a floating-point sum is the runtime's own.
    if (value.isPresent() && function.isPresent() && !call.type(0).isFloating()) {
      foldElements(value.get(), reduced, function.get())
          .ifPresent(v -> call.value(0, v.reshape(call.sizes(0))));
    }
  }

  /** Folds from the first element on; empty where there is none. */
  private static Optional<Partial> foldElements(
      Partial value, boolean[] reduced, BinaryOperator<Scalar> function) {
    if (value.size() == 0) {
      return Optional.empty();
    }
    Scalar start = new Scalar.Real(Double.NaN);
    return Optional.of(
        value.reduce(
            reduced, start, (soFar, next) -> soFar == start ? next : function.apply(soFar, next)));
  }

  private static boolean[] axes(Call call, int rank, boolean keep) {
    boolean[] reduced = new boolean[rank];
    Optional<long[]> axes = call.longsAttribute("axes");
    if (axes.isEmpty() && call.has(1)) {
      Optional<Partial> input = call.knownValue(1);
      if (input.isEmpty() || !input.get().isConstant()) {
        if (keep) {
          call.shape(0, call.freshShape(0, rank));
        }
        throw call.unknown("which axes are reduced");
      }
      axes = Optional.of(call.numbers(1));
    }
    if (axes.isEmpty() || axes.get().length == 0) {
      Arrays.fill(reduced, call.longAttribute("noop_with_empty_axes", 0) == 0);
    } else {
      for (long axis : axes.get()) {
        reduced[call.axis(axis, rank)] = true;
      }
    }
    return reduced;
  }

  private static Shape reduce(Shape shape, boolean[] reduced, boolean keep) {
    List<Dim> dims = new ArrayList<>();
    for (int i = 0; i < reduced.length; i++) {
      if (!reduced[i]) {
        dims.add(shape.dim(i));
      } else if (keep) {
        dims.add(Dim.ONE);
      }
    }
    return new Shape(dims);
  }

  private static void argument(Call call) {
    call.type(0, DataType.INT64);
    Shape shape = call.shape(0);
    boolean[] reduced = new boolean[shape.rank()];
    reduced[call.axis(call.longAttribute("axis", 0), shape.rank())] = true;
    call.shape(0, reduce(shape, reduced, call.longAttribute("keepdims", 1) == 1));
  }
}
