package io.sparsedit.tensorrt;

import io.sparsedit.tensorrt.calls.CudaCalls;
import java.nio.ByteBuffer;

/** Memory of the GPU. */
public final class DeviceMemory implements AutoCloseable {
  private final CudaCalls cuda;
  private final Handle memory;
  private final long bytes;

  private DeviceMemory(CudaCalls cuda, long bytes) {
    this.cuda = cuda;
    this.memory = new Handle(cuda.allocate(Math.max(bytes, 1)), cuda::free, "GPU memory");
    this.bytes = bytes;
  }

  /**
   * New memory; one byte at least, so that it has an address.
   *
   * @throws TensorRtException if there is not so much
   */
  public static DeviceMemory allocate(long bytes) {
    return new DeviceMemory(Presets.cuda(), bytes);
  }

  /** Free bytes of the GPU, for all processes. */
  public static long free() {
    return Presets.cuda().freeBytes();
  }

  /** Its size. */
  public long bytes() {
    return bytes;
  }

  /** Where it is. */
  public long address() {
    return memory.address();
  }

  /** Enqueues making it zeros. */
  public void clear(CudaStream stream) {
    cuda.clear(memory.address(), bytes, stream.address());
  }

  /** Enqueues a copy of as many bytes from a direct buffer's start, which must stay until then. */
  public void copyFrom(ByteBuffer buffer, long count, CudaStream stream) {
    check(buffer, count);
    cuda.copyToDevice(memory.address(), buffer, count, stream.address());
  }

  /** Enqueues a copy of as many bytes to a direct buffer's start, which must stay until then. */
  public void copyTo(ByteBuffer buffer, long count, CudaStream stream) {
    check(buffer, count);
    cuda.copyToHost(buffer, memory.address(), count, stream.address());
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
