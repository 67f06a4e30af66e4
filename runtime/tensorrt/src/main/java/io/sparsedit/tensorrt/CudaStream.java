package io.sparsedit.tensorrt;

import io.sparsedit.tensorrt.calls.CudaCalls;

/** A queue of work for the GPU; for one thread at a time. */
public final class CudaStream implements AutoCloseable {
  private final CudaCalls cuda;
  private final Handle stream;

  private CudaStream(CudaCalls cuda) {
    this.cuda = cuda;
    this.stream = new Handle(cuda.newStream(), cuda::deleteStream, "CUDA stream");
  }

  /** A new stream, independent of all others. */
  public static CudaStream create() {
    return new CudaStream(Presets.cuda());
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
    cuda.synchronize(stream.address());
  }

  /**
   * Records what is enqueued meanwhile, which does not run.
   *
   * @throws TensorRtException if some of it cannot be recorded
   */
  public CudaGraph record(Runnable enqueue) {
    cuda.beginCapture(stream.address());
    try {
      enqueue.run();
    } catch (RuntimeException e) {
      abandon();
      throw e;
    }
    return new CudaGraph(cuda, cuda.endCapture(stream.address()));
  }

  /** Ends a recording that failed. */
  private void abandon() {
    try {
      cuda.deleteGraph(cuda.endCapture(stream.address()));
    } catch (TensorRtException e) {
      // The recording is void, as expected; the first failure says why.
    }
  }

  @Override
  public void close() {
    stream.close();
  }
}
