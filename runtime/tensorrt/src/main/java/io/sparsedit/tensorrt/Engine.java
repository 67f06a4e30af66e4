package io.sparsedit.tensorrt;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** An engine with its weights on the GPU. Thread-safe. */
public final class Engine implements AutoCloseable {
  private static final int INPUT = 1;
  private static final int ON_DEVICE = 0;
  private static final int MINIMUM = 0;
  private static final int MAXIMUM = 2;

  private final Handle runtime;
  private final Handle engine;
  private final List<IoTensor> tensors;

  private Engine(Handle runtime, Handle engine) {
    this.runtime = runtime;
    this.engine = engine;
    List<IoTensor> list = new ArrayList<>();
    int count = Native.tensorCount(engine.address());
    for (int i = 0; i < count; i++) {
      String name = Native.tensorName(engine.address(), i);
      list.add(
          new IoTensor(
              name,
              Native.tensorMode(engine.address(), name) == INPUT,
              IoTensor.typeName(Native.tensorType(engine.address(), name)),
              Native.tensorLocation(engine.address(), name) == ON_DEVICE,
              IoTensor.list(Native.tensorShape(engine.address(), name))));
    }
    this.tensors = List.copyOf(list);
  }

  static Engine load(Path file) {
    Handle runtime = new Handle(Native.newRuntime(), Native::deleteRuntime, "TensorRT runtime");
    try {
      Handle engine =
          new Handle(
              Native.loadEngine(runtime.address(), file.toString()),
              Native::deleteEngine,
              "engine");
      try {
        return new Engine(runtime, engine);
      } catch (RuntimeException e) {
        engine.close();
        throw e;
      }
    } catch (RuntimeException e) {
      runtime.close();
      throw e;
    }
  }

  /** Inputs and outputs, in the engine's order. */
  public List<IoTensor> tensors() {
    return tensors;
  }

  /** The smallest shape of an input that the engine takes. */
  public List<Long> smallest(String input) {
    return IoTensor.list(Native.profileShape(engine.address(), input, MINIMUM));
  }

  /** The largest shape of an input that the engine takes. */
  public List<Long> largest(String input) {
    return IoTensor.list(Native.profileShape(engine.address(), input, MAXIMUM));
  }

  /**
   * Memory to run in, for one thread at a time.
   *
   * @throws TensorRtException if the GPU's memory does not suffice
   */
  public ExecutionContext newContext() {
    return new ExecutionContext(
        engine.address(),
        new Handle(
            Native.newContext(engine.address()), Native::deleteContext, "execution context"));
  }

  /** TensorRT's own description of the layers, as JSON; names only unless built in detail. */
  public String layers() {
    return Native.layers(engine.address(), 0);
  }

  /** Releases the engine; its contexts must be closed. */
  @Override
  public void close() {
    engine.close();
    runtime.close();
  }
}
