package io.sparsedit.tensorrt;

/** Recorded work for the GPU, which starts as one. */
public final class CudaGraph implements AutoCloseable {
  private final Handle graph;

  CudaGraph(long address) {
    this.graph = new Handle(address, Native::deleteGraph, "CUDA graph");
  }

  /** Enqueues all of it. */
  public void launch(CudaStream stream) {
    Native.launchGraph(graph.address(), stream.address());
  }

  @Override
  public void close() {
    graph.close();
  }
}
