package io.sparsedit.tensorrt.presets;

import io.sparsedit.tensorrt.IoTensor;
import io.sparsedit.tensorrt.TensorRt;
import io.sparsedit.tensorrt.TensorRtException;
import io.sparsedit.tensorrt.calls.TensorRtCalls;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.tensorrt.global.nvinfer;
import org.bytedeco.tensorrt.global.nvinfer.ExecutionContextAllocationStrategy;
import org.bytedeco.tensorrt.global.nvinfer.LayerInformationFormat;
import org.bytedeco.tensorrt.global.nvinfer.OptProfileSelector;
import org.bytedeco.tensorrt.global.nvinfer.TensorIOMode;
import org.bytedeco.tensorrt.global.nvinfer.TensorLocation;
import org.bytedeco.tensorrt.nvinfer.Dims64;
import org.bytedeco.tensorrt.nvinfer.ICudaEngine;
import org.bytedeco.tensorrt.nvinfer.IEngineInspector;
import org.bytedeco.tensorrt.nvinfer.IExecutionContext;
import org.bytedeco.tensorrt.nvinfer.IPluginRegistry;
import org.bytedeco.tensorrt.nvinfer.IProfiler;
import org.bytedeco.tensorrt.nvinfer.IRuntime;

/** TensorRT through the preset {@code nvinfer}. */
public final class PresetTensorRt implements TensorRtCalls {
  private final MessageLog log;

  /** Loads the preset's native library. */
  public PresetTensorRt() {
    this.log = new MessageLog();
  }

  MessageLog log() {
    return log;
  }

  /** A failure, with what TensorRT logged on the way. */
  TensorRtException failure(String what) {
    String errors = log.errors().take();
    return TensorRtException.failed(errors.isEmpty() ? what : what + ": " + errors);
  }

  /** The address of an object that TensorRT made. */
  long made(Pointer object, String failure) {
    if (Pointer.isNull(object)) {
      throw failure(failure);
    }
    return object.address();
  }

  /**
   * The address of a runtime or builder. Where TensorRT 10.6 cannot make one, what it gives is
   * neither null nor an object: what it logs decides.
   */
  long created(Supplier<? extends Pointer> create, String failure) {
    log.errors().begin();
    Pointer object = create.get();
    String errors = log.errors().take();
    if (!errors.isEmpty() || Pointer.isNull(object)) {
      throw TensorRtException.failed(errors.isEmpty() ? failure : failure + ": " + errors);
    }
    return object.address();
  }

  private static ICudaEngine engine(long address) {
    return new ICudaEngine(new Address(address));
  }

  private static IExecutionContext context(long address) {
    return new IExecutionContext(new Address(address));
  }

  @Override
  public int version() {
    return nvinfer.getInferLibVersion();
  }

  @Override
  public List<TensorRt.Message> takeMessages() {
    return log.takeMessages();
  }

  @Override
  public void registerPlugins(String library) {
    IPluginRegistry registry = nvinfer.getPluginRegistry();
    try (BytePointer path = Texts.utf8(library)) {
      if (registry == null || Pointer.isNull(registry.loadLibrary(path))) {
        throw failure("TensorRT does not take the plugins of " + library);
      }
    }
  }

  @Override
  public long newRuntime() {
    return created(() -> nvinfer.createInferRuntime(log), "TensorRT makes no runtime");
  }

  @Override
  public long loadEngine(long runtime, long data, long bytes) {
    log.errors().begin();
    return made(
        new IRuntime(new Address(runtime)).deserializeCudaEngine(new Address(data), bytes),
        "TensorRT does not load the engine");
  }

  @Override
  public List<IoTensor> tensors(long engine) {
    ICudaEngine asked = engine(engine);
    List<IoTensor> tensors = new ArrayList<>();
    for (int i = 0; i < asked.getNbIOTensors(); i++) {
      String name = Texts.name(asked.getIOTensorName(i));
      try (BytePointer text = Texts.utf8(name)) {
        tensors.add(
            new IoTensor(
                name,
                asked.getTensorIOMode(text) == TensorIOMode.kINPUT.value,
                IoTensor.typeName(asked.getTensorDataType(text)),
                asked.getTensorLocation(text) == TensorLocation.kDEVICE.value,
                Shapes.takeList(asked.getTensorShape(text))));
      }
    }
    return tensors;
  }

  @Override
  public List<Long> profileShape(long engine, String input, boolean largest) {
    OptProfileSelector selector = largest ? OptProfileSelector.kMAX : OptProfileSelector.kMIN;
    try (BytePointer text = Texts.utf8(input)) {
      return Shapes.takeList(engine(engine).getProfileShape(text, 0, selector.value));
    }
  }

  @Override
  public long newInspector(long engine) {
    return made(engine(engine).createEngineInspector(), "TensorRT makes no inspector");
  }

  @Override
  public String layers(long inspector, long context) {
    IEngineInspector asked = new IEngineInspector(new Address(inspector));
    if (context != 0) {
      asked.setExecutionContext(context(context));
    }
    return Texts.text(asked.getEngineInformation(LayerInformationFormat.kJSON.value));
  }

  @Override
  public long contextBytes(long engine) {
    return engine(engine).getDeviceMemorySizeV2();
  }

  @Override
  public long newContext(long engine) {
    log.errors().begin();
    return made(
        engine(engine).createExecutionContext(ExecutionContextAllocationStrategy.kSTATIC.value),
        "TensorRT makes no execution context");
  }

  @Override
  public void setInputShape(long context, String input, long[] dims) {
    try (BytePointer text = Texts.utf8(input);
        Dims64 shape = Shapes.toDims(dims)) {
      if (!context(context).setInputShape(text, shape)) {
        throw failure("TensorRT does not take this shape of " + input);
      }
    }
  }

  @Override
  public long[] shape(long context, String tensor) {
    try (BytePointer text = Texts.utf8(tensor)) {
      return Shapes.take(context(context).getTensorShape(text));
    }
  }

  @Override
  public void setAddress(long context, String tensor, long memory) {
    try (BytePointer text = Texts.utf8(tensor)) {
      if (!context(context).setTensorAddress(text, new Address(memory))) {
        throw failure("TensorRT does not take the memory of " + tensor);
      }
    }
  }

  @Override
  public void enqueue(long context, long stream) {
    log.errors().begin();
    if (!context(context).enqueueV3(new CUstream_st(new Address(stream)))) {
      throw failure("TensorRT does not run the engine");
    }
  }

  @Override
  public void setProfiler(long context, long profiler) {
    context(context).setProfiler(new IProfiler(new Address(profiler)));
  }
}
