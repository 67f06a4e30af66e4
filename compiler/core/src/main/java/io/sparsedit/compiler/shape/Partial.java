package io.sparsedit.compiler.shape;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.HalfFloat;
import io.sparsedit.compiler.ir.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.function.BinaryOperator;
import java.util.function.UnaryOperator;

/** The elements of a small tensor of known size, each as far as it is known before a run. */
final class Partial {
  /** Larger integer tensors are not followed. */
  static final int MAX_ELEMENTS = 1024;

  /** Larger floating-point tensors are not followed. */
  static final int MAX_FLOATS = 64;

  private final DataType type;
  private final long[] dims;
  private final List<Scalar> elements;

  private Partial(DataType type, long[] dims, List<Scalar> elements) {
    this.type = type;
    if (Arrays.stream(dims).reduce(1, Math::multiplyExact) != elements.size()) {
      throw new IllegalArgumentException(
          elements.size() + " elements for " + Arrays.toString(dims));
    }
    this.dims = dims;
    this.elements = elements;
  }

  // ---- construction -----------------------------------------------------------------------------

  /** A value of the given elements, each brought to the type. */
  static Partial of(DataType type, long[] dims, List<Scalar> elements) {
    return new Partial(
        type, dims.clone(), elements.stream().map(e -> Scalar.fit(e, type)).toList());
  }

  static Partial vector(List<Dim> elements) {
    return of(
        DataType.INT64, new long[] {elements.size()}, elements.stream().map(Scalar::of).toList());
  }

  static Partial scalar(DataType type, Scalar element) {
    return of(type, new long[0], List.of(element));
  }

  /** The tensor's elements, if they are present, few and numeric. */
  static Optional<Partial> of(Tensor tensor) {
    if (!fits(tensor.type(), tensor.dims())) {
      return Optional.empty();
    }
    if (tensor.type().isFloating()) {
      return tensor
          .doubles()
          .map(
              values ->
                  new Partial(
                      tensor.type(),
                      tensor.dims(),
                      Arrays.stream(values).<Scalar>mapToObj(Scalar.Real::new).toList()));
    }
    return tensor
        .longs()
        .map(
            values ->
                of(
                    tensor.type(),
                    tensor.dims(),
                    Arrays.stream(values).mapToObj(Scalar::of).toList()));
  }

  /** Whether a tensor of this type and size is followed. */
  static boolean fits(DataType type, long[] dims) {
    long count = 1;
    for (long dim : dims) {
      if (dim < 0 || dim > MAX_ELEMENTS) {
        return dim > 0 && Arrays.stream(dims).anyMatch(d -> d == 0);
      }
      count *= dim;
      if (count > MAX_ELEMENTS) {
        return Arrays.stream(dims).anyMatch(d -> d == 0);
      }
    }
    return !type.isFloating() || count <= MAX_FLOATS;
  }

  // ---- questions --------------------------------------------------------------------------------

  DataType type() {
    return type;
  }

  long[] dims() {
    return dims.clone();
  }

  int rank() {
    return dims.length;
  }

  int size() {
    return elements.size();
  }

  Scalar element(int index) {
    return elements.get(index);
  }

  List<Scalar> elements() {
    return elements;
  }

  /** The elements of an integer tensor, if all are known without running. */
  Optional<List<Dim>> integers() {
    List<Dim> integers = new ArrayList<>(elements.size());
    for (Scalar element : elements) {
      Optional<Dim> dim = element.dim();
      if (type.isFloating() || dim.isEmpty()) {
        return Optional.empty();
      }
      integers.add(dim.get());
    }
    return Optional.of(integers);
  }

  /** Whether every element is a number. */
  boolean isConstant() {
    return elements.stream().allMatch(Scalar::isNumber);
  }

  /** The tensor, if every element is a number and the type is one of the common ones. */
  Optional<Tensor> tensor() {
    if (!isConstant()) {
      return Optional.empty();
    }
    int width = type.bits() / 8;
    ByteBuffer bytes = ByteBuffer.allocate(width * elements.size()).order(ByteOrder.LITTLE_ENDIAN);
    for (Scalar element : elements) {
      double real = element instanceof Scalar.Real r ? r.value() : 0;
      long integer = element.number().orElse(0);
      switch (type) {
        case FLOAT -> bytes.putFloat((float) real);
        case DOUBLE -> bytes.putDouble(real);
        case FLOAT16 -> bytes.putShort(HalfFloat.fromFloat((float) real));
        case BFLOAT16 -> bytes.putShort((short) (Float.floatToRawIntBits((float) real) >>> 16));
        case INT64, UINT64 -> bytes.putLong(integer);
        case INT32, UINT32 -> bytes.putInt((int) integer);
        case INT16, UINT16 -> bytes.putShort((short) integer);
        case INT8, UINT8, BOOL -> bytes.put((byte) integer);
        default -> {
          return Optional.empty();
        }
      }
    }
    return Optional.of(Tensor.raw(type, dims, bytes.flip()));
  }

  // ---- operations -------------------------------------------------------------------------------

  Partial map(DataType newType, UnaryOperator<Scalar> function) {
    return of(newType, dims, elements.stream().map(guarded(function)).toList());
  }

  /** Applies the function to the elements of two tensors of the same size. */
  Partial zip(Partial other, DataType newType, BinaryOperator<Scalar> function) {
    List<Scalar> result = new ArrayList<>(elements.size());
    for (int i = 0; i < elements.size(); i++) {
      Scalar right = other.elements.get(i);
      result.add(guarded((Scalar left) -> function.apply(left, right)).apply(elements.get(i)));
    }
    return of(newType, dims, result);
  }

  private static UnaryOperator<Scalar> guarded(UnaryOperator<Scalar> function) {
    return scalar -> {
      try {
        return function.apply(scalar);
      } catch (ArithmeticException e) {
        // Overflow or a division by zero: what a run gives is not for us to say.
        return Scalar.unknown();
      }
    };
  }

  /** The same elements under other dimensions. */
  Partial reshape(long[] newDims) {
    return new Partial(type, newDims.clone(), elements);
  }

  /** The elements repeated to the dimensions that broadcasting gives. */
  Partial expand(long[] newDims) {
    if (Arrays.equals(newDims, dims)) {
      return this;
    }
    long[] strides = strides(dims);
    long[] aligned = new long[newDims.length];
    int shift = newDims.length - dims.length;
    for (int i = 0; i < dims.length; i++) {
      aligned[i + shift] = dims[i] == 1 ? 0 : strides[i];
    }
    return gatherStrided(newDims, aligned);
  }

  Partial transpose(int[] permutation) {
    long[] strides = strides(dims);
    long[] newDims = new long[dims.length];
    long[] newStrides = new long[dims.length];
    for (int i = 0; i < permutation.length; i++) {
      newDims[i] = dims[permutation[i]];
      newStrides[i] = strides[permutation[i]];
    }
    return gatherStrided(newDims, newStrides);
  }

  private Partial gatherStrided(long[] newDims, long[] strides) {
    List<Scalar> result = new ArrayList<>();
    long count = Arrays.stream(newDims).reduce(1, (a, b) -> a * b);
    long[] index = new long[newDims.length];
    for (long n = 0; n < count; n++) {
      long position = 0;
      for (int i = 0; i < index.length; i++) {
        position += index[i] * strides[i];
      }
      result.add(elements.get((int) position));
      for (int i = index.length - 1; i >= 0 && ++index[i] == newDims[i]; i--) {
        index[i] = 0;
      }
    }
    return new Partial(type, newDims.clone(), result);
  }

  /** The slices at the given positions of an axis; one scalar position drops the axis. */
  Partial take(int axis, long[] positions, long[] positionDims) {
    long inner = 1;
    for (int i = axis + 1; i < dims.length; i++) {
      inner *= dims[i];
    }
    long outer = 1;
    for (int i = 0; i < axis; i++) {
      outer *= dims[i];
    }
    List<Scalar> result = new ArrayList<>();
    for (long o = 0; o < outer; o++) {
      for (long position : positions) {
        for (long i = 0; i < inner; i++) {
          result.add(elements.get((int) ((o * dims[axis] + position) * inner + i)));
        }
      }
    }
    long[] newDims = new long[dims.length - 1 + positionDims.length];
    System.arraycopy(dims, 0, newDims, 0, axis);
    System.arraycopy(positionDims, 0, newDims, axis, positionDims.length);
    System.arraycopy(dims, axis + 1, newDims, axis + positionDims.length, dims.length - axis - 1);
    return new Partial(type, newDims, result);
  }

  /** The parts one after another along the axis; all other dimensions are the same. */
  static Partial concat(List<Partial> parts, int axis) {
    Partial first = parts.get(0);
    long[] newDims = first.dims.clone();
    newDims[axis] = parts.stream().mapToLong(p -> p.dims[axis]).sum();
    long outer = 1;
    for (int i = 0; i < axis; i++) {
      outer *= newDims[i];
    }
    List<Scalar> result = new ArrayList<>();
    for (int o = 0; o < outer; o++) {
      for (Partial part : parts) {
        int chunk = (int) (part.elements.size() / outer);
        result.addAll(part.elements.subList(o * chunk, (o + 1) * chunk));
      }
    }
    return new Partial(first.type, newDims, result);
  }

  /** Folds the elements along the given axes, which become 1. */
  Partial reduce(boolean[] axes, Scalar start, BinaryOperator<Scalar> function) {
    long[] newDims = dims.clone();
    for (int i = 0; i < dims.length; i++) {
      newDims[i] = axes[i] ? 1 : dims[i];
    }
    long count = Arrays.stream(newDims).reduce(1, (a, b) -> a * b);
    List<Scalar> result = new ArrayList<>(Collections.nCopies((int) count, start));
    long[] strides = strides(newDims);
    long[] index = new long[dims.length];
    for (Scalar element : elements) {
      long position = 0;
      for (int i = 0; i < index.length; i++) {
        position += axes[i] ? 0 : index[i] * strides[i];
      }
      Scalar soFar = result.get((int) position);
      result.set((int) position, guarded((Scalar s) -> function.apply(s, element)).apply(soFar));
      for (int i = index.length - 1; i >= 0 && ++index[i] == dims[i]; i--) {
        index[i] = 0;
      }
    }
    return of(type, newDims, result);
  }

  private static long[] strides(long[] dims) {
    long[] strides = new long[dims.length];
    long stride = 1;
    for (int i = dims.length - 1; i >= 0; i--) {
      strides[i] = stride;
      stride *= dims[i];
    }
    return strides;
  }
}
