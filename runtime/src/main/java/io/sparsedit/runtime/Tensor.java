package io.sparsedit.runtime;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.stream.Collectors;

/**
 * A dense tensor over a direct little-endian buffer, in row-major order, or over memory of the GPU.
 *
 * <p>The elements are mutable and are shared with whoever holds the same buffer: a model reads its
 * inputs from them and writes its outputs into them without copying. Type and dimensions do not
 * change. A tensor holds less than 2 GiB; a tensor with a dimension of 0 holds no elements.
 *
 * <p>A tensor on the GPU ({@link #onDevice}) has type, dimensions and an address. Sessions on
 * TensorRT read and write it where it lies; its elements cannot be reached from here, and what asks
 * for them throws {@link IllegalStateException}.
 *
 * <p>Not thread-safe, as the buffer under it is not.
 */
public final class Tensor {
  private static final int ALIGNMENT = 64;

  /** What TensorRT asks of addresses on the GPU. */
  private static final int DEVICE_ALIGNMENT = 256;

  private static final long ON_HOST = 0;

  private final ElementType type;
  private final long[] dims;
  private final int elements;
  private final ByteBuffer bytes;
  private final long address;

  private Tensor(ElementType type, long[] dims, int elements, ByteBuffer bytes) {
    this(type, dims, elements, bytes, ON_HOST);
  }

  private Tensor(ElementType type, long[] dims, int elements, ByteBuffer bytes, long address) {
    this.type = type;
    this.dims = dims;
    this.elements = elements;
    this.bytes = bytes;
    this.address = address;
  }

  /**
   * A new tensor of zeros.
   *
   * @throws IllegalArgumentException if a dimension is negative or the tensor reaches 2 GiB
   */
  public static Tensor allocate(ElementType type, long... dims) {
    int elements = elementCount(type, dims);
    int size = elements * type.bytes();
    if (size > Integer.MAX_VALUE - 2 * ALIGNMENT) {
      throw tooLarge(type, dims);
    }
    int padded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    ByteBuffer aligned = ByteBuffer.allocateDirect(padded + ALIGNMENT).alignedSlice(ALIGNMENT);
    return new Tensor(
        type, dims.clone(), elements, aligned.slice(0, size).order(ByteOrder.LITTLE_ENDIAN));
  }

  /**
   * A tensor over the remaining bytes of a direct buffer, without copying. The buffer's own
   * position and byte order do not matter afterwards.
   *
   * @throws IllegalArgumentException if the buffer is not direct, is read-only, or its remaining
   *     bytes are not exactly what type and dimensions need
   */
  public static Tensor wrap(ElementType type, ByteBuffer buffer, long... dims) {
    int elements = elementCount(type, dims);
    if (!buffer.isDirect() || buffer.isReadOnly()) {
      throw new IllegalArgumentException("a tensor needs a direct, writable buffer");
    }
    if (buffer.remaining() != elements * type.bytes()) {
      throw new IllegalArgumentException(
          describe(type, dims)
              + " needs "
              + elements * type.bytes()
              + " bytes, the buffer has "
              + buffer.remaining());
    }
    return new Tensor(type, dims.clone(), elements, buffer.slice().order(ByteOrder.LITTLE_ENDIAN));
  }

  /**
   * A tensor in memory of the GPU that the caller owns: of CUDA's device 0 of this process, large
   * enough, and there for as long as a run that was given the tensor takes. What the caller
   * enqueues to fill it must be done when the run is called: a session waits for no stream but its
   * own.
   *
   * @param address as {@code cudaMalloc} gives it, a multiple of 256
   * @throws IllegalArgumentException if the address is none, or a dimension is negative
   */
  public static Tensor onDevice(ElementType type, long address, long... dims) {
    if (address == ON_HOST || address % DEVICE_ALIGNMENT != 0) {
      throw new IllegalArgumentException(
          "a tensor on the GPU needs an address that is a multiple of "
              + DEVICE_ALIGNMENT
              + ", not 0x"
              + Long.toHexString(address));
    }
    return new Tensor(
        type, dims.clone(), elementCount(type, dims), ByteBuffer.allocateDirect(0), address);
  }

  /**
   * A new f32 tensor.
   *
   * @throws IllegalArgumentException if the number of values is not what the dimensions need
   */
  public static Tensor ofFloats(long[] dims, float... values) {
    Tensor tensor = allocate(ElementType.F32, dims);
    tensor.checkCount(values.length);
    tensor.bytes().asFloatBuffer().put(values);
    return tensor;
  }

  /**
   * A new i64 tensor.
   *
   * @throws IllegalArgumentException if the number of values is not what the dimensions need
   */
  public static Tensor ofLongs(long[] dims, long... values) {
    Tensor tensor = allocate(ElementType.I64, dims);
    tensor.checkCount(values.length);
    tensor.bytes().asLongBuffer().put(values);
    return tensor;
  }

  /**
   * A new i32 tensor.
   *
   * @throws IllegalArgumentException if the number of values is not what the dimensions need
   */
  public static Tensor ofInts(long[] dims, int... values) {
    Tensor tensor = allocate(ElementType.I32, dims);
    tensor.checkCount(values.length);
    tensor.bytes().asIntBuffer().put(values);
    return tensor;
  }

  /**
   * A new bool tensor.
   *
   * @throws IllegalArgumentException if the number of values is not what the dimensions need
   */
  public static Tensor ofBooleans(long[] dims, boolean... values) {
    Tensor tensor = allocate(ElementType.BOOL, dims);
    tensor.checkCount(values.length);
    for (int i = 0; i < values.length; i++) {
      tensor.bytes.put(i, (byte) (values[i] ? 1 : 0));
    }
    return tensor;
  }

  /** The element type. */
  public ElementType type() {
    return type;
  }

  /** The dimensions; empty for a scalar. */
  public long[] dims() {
    return dims.clone();
  }

  /** Number of dimensions. */
  public int rank() {
    return dims.length;
  }

  /** Number of elements. */
  public int elementCount() {
    return elements;
  }

  /** Whether the elements are in memory of the GPU. */
  public boolean isOnDevice() {
    return address != ON_HOST;
  }

  /**
   * Where the elements are on the GPU.
   *
   * @throws IllegalStateException if they are not
   */
  public long deviceAddress() {
    if (!isOnDevice()) {
      throw new IllegalStateException(this + " is not on the GPU");
    }
    return address;
  }

  /** A little-endian view of all the elements, at position 0; writing to it writes the tensor. */
  public ByteBuffer bytes() {
    return host().duplicate().order(ByteOrder.LITTLE_ENDIAN);
  }

  private ByteBuffer host() {
    if (isOnDevice()) {
      throw new IllegalStateException("the elements of " + this + " cannot be reached from Java");
    }
    return bytes;
  }

  /** The element at a flat index as a double; a bool is 0 or 1. Exact but for large i64. */
  public double get(int index) {
    ByteBuffer host = host();
    return switch (type) {
      case F32 -> host.getFloat(4 * index);
      case F16 -> HalfFloat.fromBinary16(host.getShort(2 * index));
      case BF16 -> HalfFloat.fromBfloat16(host.getShort(2 * index));
      case F64 -> host.getDouble(8 * index);
      case I64 -> host.getLong(8 * index);
      case I32 -> host.getInt(4 * index);
      case I16 -> host.getShort(2 * index);
      case I8 -> host.get(index);
      case U8, BOOL -> Byte.toUnsignedInt(host.get(index));
    };
  }

  /**
   * Sets the element at a flat index, rounded to nearest in a floating type (by way of float in the
   * 16-bit ones), truncated in an integer type; a bool is true for anything but 0.
   */
  public void set(int index, double value) {
    ByteBuffer host = host();
    switch (type) {
      case F32 -> host.putFloat(4 * index, (float) value);
      case F16 -> host.putShort(2 * index, HalfFloat.toBinary16((float) value));
      case BF16 -> host.putShort(2 * index, HalfFloat.toBfloat16((float) value));
      case F64 -> host.putDouble(8 * index, value);
      case I64 -> host.putLong(8 * index, (long) value);
      case I32 -> host.putInt(4 * index, (int) value);
      case I16 -> host.putShort(2 * index, (short) value);
      case I8, U8 -> host.put(index, (byte) (int) value);
      case BOOL -> host.put(index, (byte) (value != 0 ? 1 : 0));
    }
  }

  /** The elements as floats, whatever the type. */
  public float[] toFloats() {
    float[] out = new float[elements];
    if (type == ElementType.F32) {
      bytes().asFloatBuffer().get(out);
    } else {
      for (int i = 0; i < elements; i++) {
        out[i] = (float) get(i);
      }
    }
    return out;
  }

  /**
   * The elements as longs.
   *
   * @throws IllegalStateException if the type is a floating one
   */
  public long[] toLongs() {
    if (type.isFloating()) {
      throw new IllegalStateException("an " + type + " tensor has no integer elements");
    }
    long[] out = new long[elements];
    for (int i = 0; i < elements; i++) {
      out[i] = type == ElementType.I64 ? host().getLong(8 * i) : (long) get(i);
    }
    return out;
  }

  /**
   * The same elements under other dimensions, not copied.
   *
   * @throws IllegalArgumentException if the number of elements differs
   */
  public Tensor reshape(long... newDims) {
    if (elementCount(type, newDims) != elements) {
      throw new IllegalArgumentException(
          "cannot reshape " + this + " to " + Arrays.toString(newDims));
    }
    return new Tensor(type, newDims.clone(), elements, bytes, address);
  }

  /** A new tensor with the same elements. */
  public Tensor copy() {
    Tensor out = allocate(type, dims);
    out.bytes().put(bytes());
    return out;
  }

  /** A new tensor of another element type with the same elements, converted as {@link #set}. */
  public Tensor convert(ElementType newType) {
    if (newType == type) {
      return copy();
    }
    Tensor out = allocate(newType, dims);
    for (int i = 0; i < elements; i++) {
      out.set(i, get(i));
    }
    return out;
  }

  /**
   * Overwrites the elements with those of a tensor of the same type and dimensions.
   *
   * @throws IllegalArgumentException if type or dimensions differ
   */
  public void copyFrom(Tensor source) {
    if (source.type != type || !Arrays.equals(source.dims, dims)) {
      throw new IllegalArgumentException("cannot copy " + source + " into " + this);
    }
    bytes().put(source.bytes());
  }

  /** Type and dimensions, as in {@code f32[1, 16, 21]}. */
  @Override
  public String toString() {
    return describe(type, dims) + (isOnDevice() ? " on the GPU" : "");
  }

  static String describe(ElementType type, long... dims) {
    return type
        + Arrays.stream(dims).mapToObj(Long::toString).collect(Collectors.joining(", ", "[", "]"));
  }

  /**
   * Bytes of a tensor.
   *
   * @throws IllegalArgumentException if a dimension is negative or the tensor reaches 2 GiB
   */
  static int byteCount(ElementType type, long... dims) {
    return elementCount(type, dims) * type.bytes();
  }

  private void checkCount(int count) {
    if (count != elements) {
      throw new IllegalArgumentException(this + " needs " + elements + " values, got " + count);
    }
  }

  private static int elementCount(ElementType type, long[] dims) {
    long count = 1;
    for (long dim : dims) {
      if (dim < 0) {
        throw new IllegalArgumentException("negative dimension in " + describe(type, dims));
      }
      if (dim != 0 && count > Long.MAX_VALUE / dim) {
        throw tooLarge(type, dims);
      }
      count *= dim;
    }
    if (count > Integer.MAX_VALUE / type.bytes()) {
      throw tooLarge(type, dims);
    }
    return (int) count;
  }

  private static IllegalArgumentException tooLarge(ElementType type, long[] dims) {
    return new IllegalArgumentException(describe(type, dims) + " does not fit a buffer of 2 GiB");
  }
}
