package io.sparsedit.tensorrt;

import java.util.List;
import java.util.Optional;

/** Runs an engine; for one thread at a time. */
public final class ExecutionContext implements AutoCloseable {
  private final long engine;
  private final Handle context;
  private Optional<Handle> times = Optional.empty();

  ExecutionContext(long engine, Handle context) {
    this.engine = engine;
    this.context = context;
  }

  /**
   * Says which shape an input has from now on.
   *
   * @throws TensorRtException if the engine does not take it
   */
  public void setInputShape(String input, long... dims) {
    Native.setInputShape(context.address(), input, dims);
  }

  /** The shape of a tensor under the inputs' shapes. */
  public long[] shape(String tensor) {
    return Native.contextShape(context.address(), tensor);
  }

  /** Says where a tensor lies from now on. */
  public void setMemory(String tensor, DeviceMemory memory) {
    Native.setAddress(context.address(), tensor, memory.address());
  }

  /**
   * Enqueues one run.
   *
   * @throws TensorRtException if a tensor has no memory, or the GPU failed
   */
  public void enqueue(CudaStream stream) {
    Native.enqueue(context.address(), stream.address());
  }

  /** From now on the layers are timed, which makes runs slower. */
  public void timeLayers() {
    if (times.isEmpty()) {
      times =
          Optional.of(
              new Handle(
                  Native.newLayerTimes(context.address()),
                  Native::deleteLayerTimes,
                  "layer times"));
    }
  }

  /** The layers since the last call, a line each: milliseconds, a tab, the name. */
  public List<String> takeLayerTimes() {
    return times.stream()
        .flatMap(handle -> Native.takeLayerTimes(handle.address()).lines())
        .toList();
  }

  /** TensorRT's description of the layers under the inputs' shapes, as JSON. */
  public String layers() {
    return Native.layers(engine, context.address());
  }

  @Override
  public void close() {
    context.close();
    times.ifPresent(Handle::close);
  }
}
