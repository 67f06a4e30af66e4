package io.sparsedit.tensorrt;

import io.sparsedit.tensorrt.calls.CudaCalls;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicBoolean;

/** Memory of the host that the GPU copies from and to at full speed. */
public final class PinnedMemory implements AutoCloseable {
  private final CudaCalls cuda;
  private final ByteBuffer memory;
  private final AtomicBoolean closed = new AtomicBoolean();

  private PinnedMemory(CudaCalls cuda, int bytes) {
    this.cuda = cuda;
    this.memory = cuda.allocatePinned(bytes);
  }

  /**
   * New memory of at most 2 GiB.
   *
   * @throws TensorRtException if there is not so much
   */
  public static PinnedMemory allocate(int bytes) {
    return new PinnedMemory(Presets.cuda(), Math.max(bytes, 1));
  }

  /** All of it, little-endian, at position 0. */
  public ByteBuffer bytes() {
    if (closed.get()) {
      throw new IllegalStateException("the pinned memory is closed");
    }
    return memory.duplicate().order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Releases it; buffers that {@link #bytes} gave must not be used afterwards. */
  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      cuda.freePinned(memory);
    }
  }
}
