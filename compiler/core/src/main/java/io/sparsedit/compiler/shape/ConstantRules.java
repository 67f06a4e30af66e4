package io.sparsedit.compiler.shape;

import static io.sparsedit.compiler.shape.ShapeRules.register;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Operators that make tensors from nothing, from sizes or from shapes. */
final class ConstantRules {
  private ConstantRules() {}

  static void addTo(Map<String, ShapeRule> table) {
    register(table, ConstantRules::constant, "Constant");
    register(table, ConstantRules::constantOfShape, "ConstantOfShape");
    register(table, ConstantRules::shape, "Shape");
    register(table, ConstantRules::size, "Size");
    register(table, ConstantRules::range, "Range");
    register(table, ConstantRules::likeInput, "EyeLike", "Bernoulli");
    register(table, ConstantRules::likeInput, "RandomNormalLike", "RandomUniformLike");
    register(table, ConstantRules::random, "RandomNormal", "RandomUniform");
  }

  private static void constant(Call call) {
    for (String name : call.node().attributes().keySet()) {
      Attribute value = call.attribute(name).orElseThrow(() -> call.unknown("attribute " + name));
      Optional<Tensor> tensor = ConstantTensors.of(value);
      if (tensor.isPresent()) {
        call.set(0, Fact.of(tensor.get()));
      } else if (value instanceof Attribute.StringValue) {
        call.set(0, DataType.STRING, Shape.SCALAR);
      } else if (value instanceof Attribute.StringList strings) {
        call.set(0, DataType.STRING, Shape.of(strings.values().size()));
      } else {
        throw call.unknown("attribute " + name);
      }
    }
  }

  private static void constantOfShape(Call call) {
    Optional<Tensor> filler = call.tensorAttribute("value");
    DataType type = filler.map(Tensor::type).orElse(DataType.FLOAT);
    call.type(0, type);
    call.shape(0, sizedBy(call, 0));
    if (call.follows(0)) {
      Scalar element =
          filler
              .flatMap(Partial::of)
              .map(v -> v.element(0))
              .orElse(filler.isPresent() ? Scalar.unknown() : new Scalar.Real(0));
      int count = Math.toIntExact(call.shape0().elementCount().constant().orElseThrow());
      call.value(0, Partial.of(type, call.sizes(0), Collections.nCopies(count, element)));
    }
  }

  /** The shape whose dimensions are the elements of an input. */
  static Shape sizedBy(Call call, int input) {
    Optional<Partial> value = call.value(input);
    if (value.isEmpty()) {
      Dim rank = call.shape(input).dim(0);
      if (rank.isConstant()) {
        return call.freshShape(0, (int) rank.offset());
      }
    }
    List<Dim> dims = new ArrayList<>();
    for (Scalar element : call.elements(input)) {
      dims.add(element.dim().orElse(call.fresh(0, dims.size())));
    }
    return new Shape(dims);
  }

  private static void shape(Call call) {
    call.type(0, DataType.INT64);
    Shape shape = call.shape(0);
    int from = clamp(call.longAttribute("start", 0), shape.rank());
    int to = clamp(call.longAttribute("end", shape.rank()), shape.rank());
    List<Dim> dims = shape.dims().subList(from, Math.max(from, to));
    call.shape(0, Shape.of(dims.size()));
    call.value(0, Partial.vector(dims));
  }

  private static int clamp(long index, int rank) {
    long normal = index < 0 ? index + rank : index;
    return (int) Math.min(Math.max(normal, 0), rank);
  }

  private static void size(Call call) {
    call.set(0, DataType.INT64, Shape.SCALAR);
    Dim count = call.shape(0).elementCount();
    call.value(0, Partial.scalar(DataType.INT64, Scalar.of(count)));
  }

  private static void range(Call call) {
    DataType type = call.firstType(0, 1, 2);
    call.set(0, type, Shape.of(call.fresh(0, 0)));
    Scalar start = call.elements(0).get(0);
    Scalar limit = call.elements(1).get(0);
    Scalar step = call.elements(2).get(0);
    Scalar count = Arithmetic.ceil(Arithmetic.divide(Arithmetic.subtract(limit, start), step));
    Optional<Dim> length = Arithmetic.truncate(count).dim().map(Dim.ZERO::max);
    if (length.isEmpty()) {
      return;
    }
    call.shape(0, Shape.of(length.get()));
    if (call.follows(0)) {
      List<Scalar> elements = new ArrayList<>();
      Scalar next = start;
      for (long i = 0; i < length.get().offset(); i++) {
        elements.add(next);
        next = Scalar.fit(Arithmetic.add(next, step), type);
      }
      call.value(0, Partial.of(type, call.sizes(0), elements));
    }
  }

  private static void likeInput(Call call) {
    call.type(0, call.typeAttribute("dtype", call.type(0)));
    call.shape(0, call.shape(0));
  }

  private static void random(Call call) {
    call.type(0, call.typeAttribute("dtype", DataType.FLOAT));
    call.shape(
        0, Shape.of(call.longsAttribute("shape").orElseThrow(() -> call.unknown("the shape"))));
  }
}
