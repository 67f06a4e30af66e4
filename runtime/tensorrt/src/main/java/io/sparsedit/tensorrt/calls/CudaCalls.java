package io.sparsedit.tensorrt.calls;

import java.nio.ByteBuffer;

/**
 * CUDA. A {@code long} is an address or a handle. A failed call throws {@code TensorRtException},
 * but for releases: those fail after a failure that was told, and have no other remedy.
 */
public interface CudaCalls {
  /** Free bytes of the GPU, for all processes. */
  long freeBytes();

  /** Memory of the GPU. */
  long allocate(long bytes);

  /** Releases what {@link #allocate} gave. */
  void free(long memory);

  /** Memory of the host, as a direct buffer over all of it. */
  ByteBuffer allocatePinned(int bytes);

  /** Releases what {@link #allocatePinned} gave. */
  void freePinned(ByteBuffer memory);

  /** Enqueues making it zeros. */
  void clear(long memory, long bytes, long stream);

  /** Enqueues a copy from the start of a direct buffer. */
  void copyToDevice(long to, ByteBuffer from, long bytes, long stream);

  /** Enqueues a copy to the start of a direct buffer. */
  void copyToHost(ByteBuffer to, long from, long bytes, long stream);

  /** A stream, independent of all others. */
  long newStream();

  /** Releases what {@link #newStream} gave. */
  void deleteStream(long stream);

  /** Waits for all that was enqueued. */
  void synchronize(long stream);

  /** Records from now on what this thread enqueues. */
  void beginCapture(long stream);

  /** What was recorded, ready to launch. */
  long endCapture(long stream);

  /** Enqueues what was recorded. */
  void launchGraph(long graph, long stream);

  /** Releases what {@link #endCapture} gave. */
  void deleteGraph(long graph);
}
