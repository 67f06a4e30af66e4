package io.sparsedit.compiler.shape;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * What is known of one value.
 *
 * @param type the element type
 * @param shape the dimensions, null if the rank is unknown
 * @param value the elements, null if they are many or nothing is known of them
 * @param tensor the tensor that an initializer or a Constant gives, of any size
 */
record Fact(
    DataType type, @Nullable Shape shape, @Nullable Partial value, @Nullable Tensor tensor) {
  static final Fact NOTHING = new Fact(DataType.UNDEFINED, null, null, null);

  static Fact of(Tensor tensor) {
    return new Fact(tensor.type(), Shape.of(tensor.dims()), null, tensor);
  }

  Fact withType(DataType newType) {
    return new Fact(newType, shape, value, tensor);
  }

  Fact withShape(@Nullable Shape newShape) {
    return new Fact(type, newShape, value, tensor);
  }

  Fact withValue(@Nullable Partial newValue) {
    return new Fact(type, shape, newValue, tensor);
  }
}
