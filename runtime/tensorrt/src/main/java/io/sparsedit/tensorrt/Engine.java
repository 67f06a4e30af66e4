package io.sparsedit.tensorrt;

import io.sparsedit.tensorrt.calls.TensorRtCalls;
import java.nio.file.Path;
import java.util.List;
import java.util.function.LongSupplier;

/** An engine with its weights on the GPU. Thread-safe. */
public final class Engine implements AutoCloseable {
  private static final long NO_CONTEXT = 0;

  private final TensorRtCalls tensorRt;
  private final Handle runtime;
  private final Handle engine;
  private final List<IoTensor> tensors;

  private Engine(TensorRtCalls tensorRt, Handle runtime, Handle engine) {
    this.tensorRt = tensorRt;
    this.runtime = runtime;
    this.engine = engine;
    this.tensors = List.copyOf(tensorRt.tensors(engine.address()));
  }

  static Engine load(TensorRtCalls tensorRt, Path file) {
    Handle runtime =
        new Handle(tensorRt.newRuntime(), PluginFunctions.delete("runtime"), "TensorRT runtime");
    try (PluginFunctions.MappedFile map = new PluginFunctions.MappedFile(file)) {
      long address;
      try {
        address = tensorRt.loadEngine(runtime.address(), map.address(), map.bytes());
      } catch (TensorRtException e) {
        throw explained(e, "the engine", map::bytes);
      }
      Handle engine = new Handle(address, PluginFunctions.delete("engine"), "engine");
      try {
        return new Engine(tensorRt, runtime, engine);
      } catch (RuntimeException e) {
        engine.close();
        throw e;
      }
    } catch (RuntimeException e) {
      runtime.close();
      throw e;
    }
  }

  /** What failed, as it is where the GPU answers no question any more. */
  private static TensorRtException explained(
      TensorRtException failure, String what, LongSupplier needed) {
    try {
      return failure.explained(what, needed.getAsLong(), DeviceMemory.free());
    } catch (TensorRtException e) {
      failure.addSuppressed(e);
      return failure;
    }
  }

  /** Inputs and outputs, in the engine's order. */
  public List<IoTensor> tensors() {
    return tensors;
  }

  /** The smallest shape of an input that the engine takes. */
  public List<Long> smallest(String input) {
    return tensorRt.profileShape(engine.address(), input, false);
  }

  /** The largest shape of an input that the engine takes. */
  public List<Long> largest(String input) {
    return tensorRt.profileShape(engine.address(), input, true);
  }

  /**
   * Memory to run in, for one thread at a time.
   *
   * @throws TensorRtException if the GPU's memory does not suffice
   */
  public ExecutionContext newContext() {
    long context;
    try {
      context = tensorRt.newContext(engine.address());
    } catch (TensorRtException e) {
      throw explained(e, "an execution context", () -> tensorRt.contextBytes(engine.address()));
    }
    return new ExecutionContext(
        tensorRt,
        this,
        new Handle(context, PluginFunctions.delete("execution_context"), "execution context"));
  }

  /** TensorRT's own description of the layers, as JSON; names only unless built in detail. */
  public String layers() {
    return layers(NO_CONTEXT);
  }

  String layers(long context) {
    try (Handle inspector =
        new Handle(
            tensorRt.newInspector(engine.address()),
            PluginFunctions.delete("engine_inspector"),
            "inspector")) {
      return tensorRt.layers(inspector.address(), context);
    }
  }

  /** Releases the engine; its contexts must be closed. */
  @Override
  public void close() {
    engine.close();
    runtime.close();
  }
}
