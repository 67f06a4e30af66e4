package io.sparsedit.tensorrt;

/** A queue of work for the GPU; for one thread at a time. */
public final class CudaStream implements AutoCloseable {
  private final Handle stream;

  private CudaStream(Handle stream) {
    this.stream = stream;
  }

  /** A new stream, independent of all others. */
  public static CudaStream create() {
    return new CudaStream(new Handle(Native.newStream(), Native::deleteStream, "CUDA stream"));
  }

  long address() {
    return stream.address();
  }

  /**
   * Waits until all that was enqueued is done.
   *
   * @throws TensorRtException if it failed
   */
  public void synchronize() {
    Native.synchronize(stream.address());
  }

  /**
   * Records what is enqueued meanwhile, which does not run.
   *
   * @throws TensorRtException if some of it cannot be recorded
   */
  public CudaGraph record(Runnable enqueue) {
    Native.beginCapture(stream.address());
    try {
      enqueue.run();
    } catch (RuntimeException e) {
      abandon();
      throw e;
    }
    return new CudaGraph(Native.endCapture(stream.address()));
  }

  /** Ends a recording that failed. */
  private void abandon() {
    try {
      Native.deleteGraph(Native.endCapture(stream.address()));
    } catch (TensorRtException e) {
      // The recording is void, as expected; the first failure says why.
    }
  }

  @Override
  public void close() {
    stream.close();
  }
}
