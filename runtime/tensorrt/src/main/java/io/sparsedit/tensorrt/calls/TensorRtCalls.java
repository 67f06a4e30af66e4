package io.sparsedit.tensorrt.calls;

import io.sparsedit.tensorrt.IoTensor;
import io.sparsedit.tensorrt.TensorRt;
import java.util.List;

/**
 * TensorRT at run time. A {@code long} is the address of one of its objects, which who asked for it
 * owns. A failed call throws {@code TensorRtException} with what TensorRT logged.
 */
public interface TensorRtCalls {
  /** TensorRT's version, major * 10000 + minor * 100 + patch. */
  int version();

  /** What TensorRT logged since the last call. */
  List<TensorRt.Message> takeMessages();

  /** Registers the plugins of a library. */
  void registerPlugins(String library);

  /** What loads engines; only where CUDA works. */
  long newRuntime();

  /** An engine, from its serialised form. */
  long loadEngine(long runtime, long data, long bytes);

  /** Inputs and outputs of an engine, in its order. */
  List<IoTensor> tensors(long engine);

  /** The smallest or the largest shape that an input may have. */
  List<Long> profileShape(long engine, String input, boolean largest);

  /** Describes engines. */
  long newInspector(long engine);

  /** An engine's layers as JSON; of a context where it is not 0. */
  String layers(long inspector, long context);

  /** The bytes of GPU memory that memory to run in takes. */
  long contextBytes(long engine);

  /** Memory to run in. */
  long newContext(long engine);

  /** Sets the shape of an input. */
  void setInputShape(long context, String input, long[] dims);

  /** The shape of a tensor under the inputs' shapes. */
  long[] shape(long context, String tensor);

  /** Sets where a tensor lies. */
  void setAddress(long context, String tensor, long memory);

  /** Enqueues one run. */
  void enqueue(long context, long stream);

  /** Sets who is told how long each layer took. */
  void setProfiler(long context, long profiler);
}
