package io.sparsedit.tensorrt;

import io.sparsedit.tensorrt.calls.CudaCalls;

/** Recorded work for the GPU, which starts as one. */
public final class CudaGraph implements AutoCloseable {
  private final CudaCalls cuda;
  private final Handle graph;

  CudaGraph(CudaCalls cuda, long address) {
    this.cuda = cuda;
    this.graph = new Handle(address, cuda::deleteGraph, "CUDA graph");
  }

  /** Enqueues all of it. */
  public void launch(CudaStream stream) {
    cuda.launchGraph(graph.address(), stream.address());
  }

  @Override
  public void close() {
    graph.close();
  }
}
