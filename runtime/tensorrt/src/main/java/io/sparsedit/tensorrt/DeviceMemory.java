package io.sparsedit.tensorrt;

import java.nio.ByteBuffer;

/** Memory of the GPU. */
public final class DeviceMemory implements AutoCloseable {
  private final Handle memory;
  private final long bytes;

  private DeviceMemory(Handle memory, long bytes) {
    this.memory = memory;
    this.bytes = bytes;
  }

  /**
   * New memory; one byte at least, so that it has an address.
   *
   * @throws TensorRtException if there is not so much
   */
  public static DeviceMemory allocate(long bytes) {
    long size = Math.max(bytes, 1);
    return new DeviceMemory(new Handle(Native.allocate(size), Native::free, "GPU memory"), bytes);
  }

  /** Free bytes of the GPU, for all processes. */
  public static long free() {
    return Native.memoryInfo()[0];
  }

  /** Its size. */
  public long bytes() {
    return bytes;
  }

  long address() {
    return memory.address();
  }

  /** Enqueues making it zeros. */
  public void clear(CudaStream stream) {
    Native.clear(memory.address(), bytes, stream.address());
  }

  /** Enqueues a copy of as many bytes from a direct buffer's start, which must stay until then. */
  public void copyFrom(ByteBuffer buffer, long count, CudaStream stream) {
    check(buffer, count);
    Native.copyToDevice(memory.address(), buffer, count, stream.address());
  }

  /** Enqueues a copy of as many bytes to a direct buffer's start, which must stay until then. */
  public void copyTo(ByteBuffer buffer, long count, CudaStream stream) {
    check(buffer, count);
    Native.copyToHost(buffer, memory.address(), count, stream.address());
  }

  private void check(ByteBuffer buffer, long count) {
    if (!buffer.isDirect() || count > bytes || count > buffer.capacity()) {
      throw new IllegalArgumentException(
          "no copy of " + count + " bytes between " + bytes + " and " + buffer);
    }
  }

  @Override
  public void close() {
    memory.close();
  }
}
