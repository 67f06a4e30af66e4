package io.sparsedit.compiler.ir;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * A constant tensor: an initializer or a tensor attribute.
 *
 * <p>Immutable. The elements are in the model file (memory-mapped), in memory, or in an external
 * file that is read only when a pass asks for it through {@code
 * io.sparsedit.compiler.onnx.ExternalData}.
 */
public final class Tensor {
  /** Where the elements are. */
  public sealed interface Storage {
    /** Little-endian packed elements; the buffer is read-only and at position 0. */
    record Raw(ByteBuffer bytes) implements Storage {
      public Raw {
        bytes = bytes.slice().asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN);
      }
    }

    /** String elements (UTF-8 or arbitrary bytes). */
    record Strings(List<byte[]> elements) implements Storage {
      public Strings {
        elements = List.copyOf(elements);
      }
    }

    /**
     * Elements in another file.
     *
     * @param location path relative to the model's folder, as written in the model
     * @param offset first byte
     * @param length number of bytes, or empty for the size that type and shape give
     * @param checksum as written in the model, or empty
     */
    record External(String location, long offset, Optional<Long> length, Optional<String> checksum)
        implements Storage {}
  }

  private final String name;
  private final DataType type;
  private final long[] dims;
  private final Storage storage;
  private final Extras extras;
  private final boolean typedField;

  /** A tensor with fields that this representation does not model. */
  public Tensor(String name, DataType type, long[] dims, Storage storage, Extras extras) {
    this(name, type, dims, storage, extras, false);
  }

  /**
   * A tensor with fields that this representation does not model.
   *
   * @param typedField see {@link #inTypedField}
   */
  public Tensor(
      String name, DataType type, long[] dims, Storage storage, Extras extras, boolean typedField) {
    this.name = name;
    this.type = type;
    this.dims = dims.clone();
    this.storage = storage;
    this.extras = extras;
    this.typedField = typedField;
    if (storage instanceof Storage.Raw raw
        && type.bits() > 0
        && raw.bytes().remaining() != type.bytes(elementCount(dims))) {
      throw new IllegalArgumentException(
          type.shortName() + Arrays.toString(dims) + " over " + raw.bytes().remaining() + " bytes");
    }
  }

  /** A tensor over packed little-endian bytes. */
  public static Tensor raw(DataType type, long[] dims, ByteBuffer bytes) {
    return new Tensor("", type, dims, new Storage.Raw(bytes), Extras.NONE);
  }

  /** An int64 tensor of the given shape. */
  public static Tensor ofLongs(long[] dims, long... elements) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.multiplyExact(8, elements.length)).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asLongBuffer().put(elements);
    return raw(DataType.INT64, dims, bytes);
  }

  /** A rank-1 int64 tensor. */
  public static Tensor vector(long... elements) {
    return ofLongs(new long[] {elements.length}, elements);
  }

  /** A rank-0 int64 tensor. */
  public static Tensor scalar(long element) {
    return ofLongs(new long[0], element);
  }

  /** An int32 tensor of the given shape. */
  public static Tensor ofInts(long[] dims, int... elements) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.multiplyExact(4, elements.length)).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asIntBuffer().put(elements);
    return raw(DataType.INT32, dims, bytes);
  }

  /** A float32 tensor of the given shape. */
  public static Tensor ofFloats(long[] dims, float... elements) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.multiplyExact(4, elements.length)).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(elements);
    return raw(DataType.FLOAT, dims, bytes);
  }

  /** A rank-0 float32 tensor. */
  public static Tensor scalar(float element) {
    return ofFloats(new long[0], element);
  }

  /** A rank-0 bool tensor. */
  public static Tensor scalar(boolean element) {
    return raw(DataType.BOOL, new long[0], ByteBuffer.wrap(new byte[] {(byte) (element ? 1 : 0)}));
  }

  /** The name written in the model; empty for a tensor attribute without one. */
  public String name() {
    return name;
  }

  /** The element type. */
  public DataType type() {
    return type;
  }

  /** The dimensions. */
  public long[] dims() {
    return dims.clone();
  }

  /** Number of dimensions. */
  public int rank() {
    return dims.length;
  }

  /** Number of elements. */
  public long elementCount() {
    return elementCount(dims);
  }

  /**
   * Number of elements of a shape.
   *
   * @throws ArithmeticException if no long can hold it
   */
  public static long elementCount(long[] dims) {
    long count = 1;
    for (long dim : dims) {
      if (dim == 0) {
        return 0;
      }
    }
    for (long dim : dims) {
      count = Math.multiplyExact(count, dim);
    }
    return count;
  }

  /** Where the elements are. */
  public Storage storage() {
    return storage;
  }

  /** Fields that this representation does not model. */
  public Extras extras() {
    return extras;
  }

  /**
   * Whether the model file spells packed elements in a typed field ({@code float_data}, {@code
   * int64_data} and so on) and not in {@code raw_data}; makes no difference but to the writer.
   */
  public boolean inTypedField() {
    return typedField;
  }

  /** Whether the elements are in an external file. */
  public boolean isExternal() {
    return storage instanceof Storage.External;
  }

  /** The same tensor under another name. */
  public Tensor named(String newName) {
    return new Tensor(newName, type, dims, storage, extras, typedField);
  }

  /** The packed elements, or empty where they are external or strings. */
  public Optional<ByteBuffer> bytes() {
    return storage instanceof Storage.Raw raw
        ? Optional.of(raw.bytes().duplicate().order(ByteOrder.LITTLE_ENDIAN))
        : Optional.empty();
  }

  /** The elements as longs, if they are present and of an integer or bool type. */
  public Optional<long[]> longs() {
    if (!(storage instanceof Storage.Raw raw)) {
      return Optional.empty();
    }
    ByteBuffer b = raw.bytes().duplicate().order(ByteOrder.LITTLE_ENDIAN);
    int n = Math.toIntExact(elementCount());
    long[] out = new long[n];
    switch (type) {
      case INT64, UINT64 -> b.asLongBuffer().get(out);
      case INT32 -> Arrays.setAll(out, i -> b.getInt(4 * i));
      case UINT32 -> Arrays.setAll(out, i -> Integer.toUnsignedLong(b.getInt(4 * i)));
      case INT16 -> Arrays.setAll(out, i -> b.getShort(2 * i));
      case UINT16 -> Arrays.setAll(out, i -> Short.toUnsignedLong(b.getShort(2 * i)));
      case INT8 -> Arrays.setAll(out, i -> b.get(i));
      case UINT8, BOOL -> Arrays.setAll(out, i -> Byte.toUnsignedLong(b.get(i)));
      default -> {
        return Optional.empty();
      }
    }
    return Optional.of(out);
  }

  /** The elements as doubles, if they are present and of a real numeric type. */
  public Optional<double[]> doubles() {
    if (!(storage instanceof Storage.Raw raw)) {
      return Optional.empty();
    }
    ByteBuffer b = raw.bytes().duplicate().order(ByteOrder.LITTLE_ENDIAN);
    int n = Math.toIntExact(elementCount());
    double[] out = new double[n];
    switch (type) {
      case FLOAT -> Arrays.setAll(out, i -> b.getFloat(4 * i));
      case DOUBLE -> b.asDoubleBuffer().get(out);
      case FLOAT16 -> Arrays.setAll(out, i -> HalfFloat.toFloat(b.getShort(2 * i)));
      case BFLOAT16 ->
          Arrays.setAll(
              out, i -> Float.intBitsToFloat(Short.toUnsignedInt(b.getShort(2 * i)) << 16));
      default -> {
        Optional<long[]> integers = longs();
        if (integers.isEmpty()) {
          return Optional.empty();
        }
        Arrays.setAll(out, i -> integers.get()[i]);
      }
    }
    return Optional.of(out);
  }

  @Override
  public String toString() {
    String where;
    if (storage instanceof Storage.External external) {
      where = "external " + external.location();
    } else if (storage instanceof Storage.Raw raw) {
      where = raw.bytes().remaining() + " bytes";
    } else {
      where = "strings";
    }
    return type.shortName() + Arrays.toString(dims) + " (" + where + ")";
  }
}
