package io.sparsedit.runtime;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;

/**
 * ONNX Runtime on the CPU, running the portable model.
 *
 * <p>State stays in ONNX Runtime's own memory: what one run returns is handed to the next as it is.
 * The first run of a branch reads zeros, which all branches share.
 */
final class OrtBackend implements Backend {
  private final Bundle bundle;
  private final OrtEnvironment environment;
  private final OrtSession session;
  private Tensor zeros = Tensor.allocate(ElementType.U8, 0);

  private OrtBackend(Bundle bundle, OrtEnvironment environment, OrtSession session) {
    this.bundle = bundle;
    this.environment = environment;
    this.session = session;
  }

  /**
   * Loads the portable model of a bundle.
   *
   * @throws BackendException if ONNX Runtime does not take the model
   * @throws BundleException if the model's inputs and outputs are not those of the bundle
   * @throws LinkageError if ONNX Runtime is not on the class path or does not load
   */
  static OrtBackend load(Bundle bundle, Model.Options options) {
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    OrtSession session;
    try (OrtSession.SessionOptions sessionOptions = new OrtSession.SessionOptions()) {
      // Errors come as exceptions; what it would print beside them is noise in a service.
      sessionOptions.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
      if (options.threads().isPresent()) {
        sessionOptions.setIntraOpNumThreads(options.threads().getAsInt());
      }
      session = environment.createSession(bundle.modelPath().toString(), sessionOptions);
    } catch (OrtException e) {
      throw new BackendException(
          BackendException.Reason.LOAD_FAILED,
          "ONNX Runtime "
              + environment.getVersion()
              + " does not load "
              + bundle.modelPath()
              + ": "
              + e.getMessage(),
          e);
    }
    OrtBackend backend = new OrtBackend(bundle, environment, session);
    try {
      backend.checkModel();
    } catch (RuntimeException e) {
      backend.close();
      throw e;
    } catch (OrtException e) {
      backend.close();
      throw new BackendException(
          BackendException.Reason.LOAD_FAILED, "ONNX Runtime: " + e.getMessage(), e);
    }
    return backend;
  }

  private void checkModel() throws OrtException {
    Map<String, ElementType> inputs = new LinkedHashMap<>();
    Map<String, ElementType> outputs = new LinkedHashMap<>();
    bundle.inputs().forEach((name, type) -> inputs.put(name, type.element()));
    bundle.actionInput().ifPresent(name -> inputs.put(name, ElementType.I32));
    bundle.outputs().forEach((name, type) -> outputs.put(name, type.element()));
    for (Bundle.StateTensor tensor : bundle.state()) {
      inputs.put(tensor.input(), tensor.type().element());
      outputs.put(tensor.output(), tensor.type().element());
    }
    checkTypes("input", inputs, session.getInputInfo());
    checkTypes("output", outputs, session.getOutputInfo());
    Set<String> unknown = new HashSet<>(session.getInputNames());
    unknown.removeAll(inputs.keySet());
    if (!unknown.isEmpty()) {
      throw mismatch("the model's inputs " + unknown + " are not in the bundle's description");
    }
  }

  private void checkTypes(
      String what, Map<String, ElementType> wanted, Map<String, NodeInfo> present) {
    wanted.forEach(
        (name, type) -> {
          NodeInfo info = present.get(name);
          if (info == null) {
            throw mismatch("the model has no " + what + " " + name);
          }
          if (!(info.getInfo() instanceof TensorInfo tensor) || tensor.type != javaType(type)) {
            throw mismatch(
                "the model's " + what + " " + name + " is " + info.getInfo() + ", not " + type);
          }
        });
  }

  private BundleException mismatch(String problem) {
    return new BundleException(
        BundleException.Reason.MODEL_MISMATCH,
        bundle.modelPath()
            + " and "
            + Bundle.DESCRIPTION_FILE
            + " do not fit together: "
            + problem
            + "; compile the bundle again");
  }

  @Override
  public String name() {
    return "ONNX Runtime " + environment.getVersion() + " (CPU)";
  }

  @Override
  public Execution newExecution() {
    return new OrtExecution();
  }

  @Override
  public OptionalLong freeGpuMemory() {
    return OptionalLong.empty();
  }

  @Override
  public void close() {
    try {
      session.close();
    } catch (OrtException e) {
      throw new IllegalStateException("ONNX Runtime does not close its session", e);
    }
  }

  /** A buffer of zeros that nobody writes. */
  private synchronized ByteBuffer zeros(int bytes) {
    if (zeros.elementCount() < bytes) {
      zeros = Tensor.allocate(ElementType.U8, bytes);
    }
    return zeros.bytes().limit(bytes);
  }

  private OnnxTensor wrap(ByteBuffer bytes, ElementType type, long[] dims) throws OrtException {
    return OnnxTensor.createTensor(
        environment, bytes.order(ByteOrder.nativeOrder()), dims, javaType(type));
  }

  private OnnxTensor wrap(Tensor tensor) throws OrtException {
    return wrap(tensor.bytes(), tensor.type(), tensor.dims());
  }

  private static Tensor copy(OnnxTensor value, ElementType type) {
    Tensor out = Tensor.allocate(type, value.getInfo().getShape());
    out.bytes().put(value.getByteBuffer());
    return out;
  }

  private static OnnxJavaType javaType(ElementType type) {
    return switch (type) {
      case F32 -> OnnxJavaType.FLOAT;
      case F16 -> OnnxJavaType.FLOAT16;
      case BF16 -> OnnxJavaType.BFLOAT16;
      case F64 -> OnnxJavaType.DOUBLE;
      case I64 -> OnnxJavaType.INT64;
      case I32 -> OnnxJavaType.INT32;
      case I16 -> OnnxJavaType.INT16;
      case I8 -> OnnxJavaType.INT8;
      case U8 -> OnnxJavaType.UINT8;
      case BOOL -> OnnxJavaType.BOOL;
    };
  }

  /** ONNX Runtime runs any number of threads on one session: there is nothing to hold. */
  private final class OrtExecution implements Execution {
    @Override
    public Branch newBranch() {
      return new OrtBranch();
    }

    @Override
    public boolean takesDeviceTensors() {
      return false;
    }

    @Override
    public void timeLayers() {}

    @Override
    public List<LayerTime> layerTimes() {
      return List.of();
    }

    @Override
    public void close() {}
  }

  private final class OrtBranch implements Branch {
    /** The current state by the names of the outputs that gave it; empty stands for zeros. */
    private Map<String, OnnxTensor> current = Map.of();

    @Override
    public Map<String, Tensor> run(Step step) {
      Set<String> wanted = new HashSet<>(step.allocate());
      bundle.state().forEach(tensor -> wanted.add(tensor.output()));
      if (wanted.isEmpty() && step.outputs().isEmpty()) {
        return Map.of();
      }
      List<OnnxTensor> wrapped = new ArrayList<>();
      try {
        Map<String, OnnxTensor> inputs = inputs(step, wrapped);
        Map<String, OnnxTensor> pinned = new HashMap<>();
        for (Map.Entry<String, Tensor> output : step.outputs().entrySet()) {
          pinned.put(output.getKey(), keep(wrapped, wrap(output.getValue())));
        }
        return take(session.run(inputs, wanted, pinned), step.allocate());
      } catch (OrtException e) {
        throw new BackendException(
            BackendException.Reason.RUN_FAILED, "ONNX Runtime: " + e.getMessage(), e);
      } finally {
        wrapped.forEach(OnnxTensor::close);
      }
    }

    private Map<String, OnnxTensor> inputs(Step step, List<OnnxTensor> wrapped)
        throws OrtException {
      Map<String, OnnxTensor> inputs = new HashMap<>();
      for (Map.Entry<String, Tensor> input : step.inputs().entrySet()) {
        inputs.put(input.getKey(), keep(wrapped, wrap(input.getValue())));
      }
      if (bundle.actionInput().isPresent()) {
        int[] codes = step.actions().stream().mapToInt(Action::code).toArray();
        Tensor action = Tensor.ofInts(new long[] {codes.length}, codes);
        inputs.put(bundle.actionInput().get(), keep(wrapped, wrap(action)));
      }
      for (Bundle.StateTensor tensor : bundle.state()) {
        OnnxTensor state = current.get(tensor.output());
        if (state == null) {
          state = keep(wrapped, zeros(tensor, step.dims()));
        }
        inputs.put(tensor.input(), state);
      }
      return inputs;
    }

    private OnnxTensor zeros(Bundle.StateTensor tensor, Dims dims) throws OrtException {
      long[] shape =
          dims.resolve(tensor.type())
              .orElseThrow(() -> new IllegalStateException("unresolved: " + tensor));
      ElementType type = tensor.type().element();
      return wrap(OrtBackend.this.zeros(Tensor.byteCount(type, shape)), type, shape);
    }

    /** Makes the state among the results the current one and copies the outputs. */
    private Map<String, Tensor> take(OrtSession.Result result, Set<String> allocate) {
      Map<String, Tensor> outputs = new LinkedHashMap<>();
      Map<String, OnnxTensor> next = new HashMap<>();
      try {
        for (String name : allocate) {
          outputs.put(name, copy(tensor(result, name), element(name)));
        }
        for (Bundle.StateTensor tensor : bundle.state()) {
          next.put(tensor.output(), tensor(result, tensor.output()));
        }
      } catch (RuntimeException | Error e) {
        result.close();
        throw e;
      }
      // From here on the results are closed one by one: those of the state live on.
      allocate.forEach(name -> tensor(result, name).close());
      clear();
      current = next;
      return outputs;
    }

    private ElementType element(String output) {
      TensorType type = bundle.outputs().get(output);
      if (type == null) {
        throw new IllegalStateException("not an output: " + output);
      }
      return type.element();
    }

    private static OnnxTensor tensor(OrtSession.Result result, String name) {
      OnnxValue value =
          result.get(name).orElseThrow(() -> new IllegalStateException("no result " + name));
      return (OnnxTensor) value;
    }

    @Override
    public Tensor copyState(Bundle.StateTensor tensor) {
      OnnxTensor value = current.get(tensor.output());
      if (value == null) {
        throw new IllegalStateException("no state yet");
      }
      return copy(value, tensor.type().element());
    }

    @Override
    public void clear() {
      current.values().forEach(OnnxTensor::close);
      current = Map.of();
    }

    @Override
    public void close() {
      clear();
    }
  }

  private static OnnxTensor keep(List<OnnxTensor> wrapped, OnnxTensor tensor) {
    wrapped.add(tensor);
    return tensor;
  }
}
