package io.sparsedit.compiler.rules;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** What a small graph declares itself: types of values, initializers and Constant nodes. */
final class DeclaredFacts implements ValueFacts {
  @Override
  public DataType elementType(Value value) {
    return value.type().orElse(null) instanceof ValueType.TensorType tensor
        ? tensor.elementType()
        : constant(value).map(Tensor::type).orElse(DataType.UNDEFINED);
  }

  @Override
  public Optional<List<Dim>> shape(Value value) {
    if (value.type().orElse(null) instanceof ValueType.TensorType tensor) {
      return tensor.dims().map(dims -> dims.stream().map(d -> dim(d, value)).toList());
    }
    return constant(value)
        .map(
            t -> {
              List<Dim> dims = new ArrayList<>();
              for (long dim : t.dims()) {
                dims.add(Dim.of(dim));
              }
              return dims;
            });
  }

  private static Dim dim(DeclaredDim declared, Value value) {
    if (declared instanceof DeclaredDim.Fixed fixed) {
      return Dim.of(fixed.size());
    }
    return declared instanceof DeclaredDim.Named named
        ? Dim.parse(named.name())
        : Dim.unknown(value.name());
  }

  @Override
  public Optional<Tensor> constant(Value value) {
    Optional<Node> producer = value.producer();
    if (producer.isPresent() && producer.get().is("Constant")) {
      return producer.get().attribute("value").orElse(null) instanceof Attribute.TensorValue t
          ? Optional.of(t.value())
          : Optional.empty();
    }
    return value.graph().inputs().contains(value) ? Optional.empty() : value.constant();
  }

  @Override
  public Optional<List<Dim>> elements(Value value) {
    return constant(value)
        .filter(t -> t.rank() <= 1)
        .flatMap(Tensor::longs)
        .map(
            longs -> {
              List<Dim> dims = new ArrayList<>();
              for (long element : longs) {
                dims.add(Dim.of(element));
              }
              return dims;
            });
  }
}
