package io.sparsedit.tensorrt;

import io.sparsedit.tensorrt.calls.TensorRtCalls;
import java.util.List;
import java.util.Optional;

/** Runs an engine; for one thread at a time. */
public final class ExecutionContext implements AutoCloseable {
  private final TensorRtCalls tensorRt;
  private final Engine engine;
  private final Handle context;
  private Optional<Handle> times = Optional.empty();

  ExecutionContext(TensorRtCalls tensorRt, Engine engine, Handle context) {
    this.tensorRt = tensorRt;
    this.engine = engine;
    this.context = context;
  }

  /**
   * Says which shape an input has from now on.
   *
   * @throws TensorRtException if the engine does not take it
   */
  public void setInputShape(String input, long... dims) {
    tensorRt.setInputShape(context.address(), input, dims);
  }

  /** The shape of a tensor under the inputs' shapes. */
  public long[] shape(String tensor) {
    return tensorRt.shape(context.address(), tensor);
  }

  /** Says where a tensor lies from now on. */
  public void setMemory(String tensor, DeviceMemory memory) {
    setMemory(tensor, memory.address());
  }

  /** Says at which address of the GPU a tensor lies from now on. */
  public void setMemory(String tensor, long address) {
    tensorRt.setAddress(context.address(), tensor, address);
  }

  /**
   * Enqueues one run.
   *
   * @throws TensorRtException if a tensor has no memory, or the GPU failed
   */
  public void enqueue(CudaStream stream) {
    tensorRt.enqueue(context.address(), stream.address());
  }

  /** From now on the layers are timed, which makes runs slower. */
  public void timeLayers() {
    if (times.isEmpty()) {
      Handle made = PluginFunctions.newLayerTimes();
      times = Optional.of(made);
      tensorRt.setProfiler(context.address(), made.address());
    }
  }

  /** The layers since the last call, a line each: milliseconds, a tab, the name. */
  public List<String> takeLayerTimes() {
    return times.stream()
        .flatMap(handle -> PluginFunctions.takeLayerTimes(handle).lines())
        .toList();
  }

  /** TensorRT's description of the layers under the inputs' shapes, as JSON. */
  public String layers() {
    return engine.layers(context.address());
  }

  @Override
  public void close() {
    context.close();
    times.ifPresent(Handle::close);
  }
}
