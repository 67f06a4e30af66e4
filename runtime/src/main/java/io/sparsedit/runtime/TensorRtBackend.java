package io.sparsedit.runtime;

import io.sparsedit.tensorrt.DeviceMemory;
import io.sparsedit.tensorrt.Engine;
import io.sparsedit.tensorrt.ExecutionContext;
import io.sparsedit.tensorrt.Gpu;
import io.sparsedit.tensorrt.IoTensor;
import io.sparsedit.tensorrt.PluginLibrary;
import io.sparsedit.tensorrt.TensorRt;
import io.sparsedit.tensorrt.TensorRtException;
import java.lang.System.Logger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Collectors;

/**
 * TensorRT on a GPU, running an engine of the bundle.
 *
 * <p>Everything that could be wrong is looked at before anything is made: the driver, the GPU,
 * TensorRT's version, the files. TensorRT itself ends the process where there is no GPU.
 */
final class TensorRtBackend implements Backend {
  private static final Logger LOG = System.getLogger("io.sparsedit.runtime");

  private final Bundle bundle;
  private final Model.Options options;
  private final List<Bundle.StateTensor> state;
  private final TensorRt tensorRt;
  private final Gpu gpu;
  private final Bundle.EngineFile file;
  private final Engine engine;
  private final Map<String, IoTensor> tensors;

  private TensorRtBackend(
      Bundle bundle,
      Model.Options options,
      TensorRt tensorRt,
      Gpu gpu,
      Bundle.EngineFile file,
      Engine engine) {
    this.bundle = bundle;
    this.options = options;
    this.state = options.dense() ? List.of() : bundle.state();
    this.tensorRt = tensorRt;
    this.gpu = gpu;
    this.file = file;
    this.engine = engine;
    Map<String, IoTensor> byName = new LinkedHashMap<>();
    engine.tensors().forEach(tensor -> byName.put(tensor.name(), tensor));
    this.tensors = byName;
  }

  /**
   * Loads the engine of a bundle that fits this machine.
   *
   * @throws BackendException if the bundle has none, the machine has no GPU that fits, or TensorRT
   *     is not there or does not take it
   * @throws BundleException if a file is not the one that the engine was built with
   */
  static TensorRtBackend load(Bundle bundle, Model.Options options) {
    List<Bundle.EngineFile> engines = options.dense() ? bundle.denseEngines() : bundle.engines();
    if (engines.isEmpty()) {
      throw new BackendException(
          BackendException.Reason.NO_ENGINE,
          bundle.folder()
              + (options.dense() ? " has no dense" : " has no")
              + " TensorRT engine; build one: "
              + Rebuild.command(bundle, options.dense()));
    }
    requirePlatform();
    engines.forEach(bundle::checkEngineSize);
    try {
      // The native methods that ask for the GPU are in the library, so that comes first.
      PluginLibrary plugins = loadPlugins(bundle, engines.get(0), options);
      Gpu gpu = plugins.requireGpu();
      TensorRt tensorRt = plugins.openTensorRt();
      Bundle.EngineFile file = choose(bundle, engines, gpu, tensorRt.version());
      if (!file.pluginSha256().equals(engines.get(0).pluginSha256())) {
        loadPlugins(bundle, file, options); // says what is wrong
      }
      bundle.checkEngine(file, options.checkHash());
      return load(bundle, options, tensorRt, gpu, file);
    } catch (TensorRtException e) {
      throw new BackendException(reason(e), String.valueOf(e.getMessage()), e);
    }
  }

  private static TensorRtBackend load(
      Bundle bundle, Model.Options options, TensorRt tensorRt, Gpu gpu, Bundle.EngineFile file) {
    Engine engine;
    try {
      engine = tensorRt.load(bundle.folder().resolve(file.file()));
    } catch (TensorRtException e) {
      throw new BackendException(
          reasonOr(BackendException.Reason.LOAD_FAILED, e),
          "TensorRT "
              + tensorRt.version()
              + " does not load "
              + bundle.folder().resolve(file.file())
              + " on "
              + gpu
              + ": "
              + e.getMessage()
              + "; build it again: "
              + Rebuild.command(bundle, file),
          e);
    } finally {
      log(tensorRt);
    }
    TensorRtBackend backend = new TensorRtBackend(bundle, options, tensorRt, gpu, file, engine);
    try {
      backend.checkTensors();
    } catch (RuntimeException e) {
      backend.close();
      throw e;
    }
    return backend;
  }

  private static PluginLibrary loadPlugins(
      Bundle bundle, Bundle.EngineFile file, Model.Options options) {
    bundle.checkPlugins(file, options.checkHash());
    return PluginLibrary.load(bundle.folder().resolve(file.pluginFile()));
  }

  private static void requirePlatform() {
    String os = System.getProperty("os.name", "");
    String machine = System.getProperty("os.arch", "");
    if (!os.toLowerCase(Locale.ROOT).contains("linux") || !machine.equals("amd64")) {
      throw new BackendException(
          BackendException.Reason.NO_GPU,
          "TensorRT engines run on Linux on x86-64, this is " + os + " on " + machine);
    }
  }

  private static BackendException.Reason reason(TensorRtException e) {
    return switch (e.reason()) {
      case DRIVER, GPU -> BackendException.Reason.NO_GPU;
      case PLUGIN_LIBRARY, TENSORRT -> BackendException.Reason.UNAVAILABLE;
      case MEMORY -> BackendException.Reason.OUT_OF_MEMORY;
      case FAILED -> BackendException.Reason.LOAD_FAILED;
    };
  }

  /** What failed, unless it was for want of memory. */
  static BackendException.Reason reasonOr(BackendException.Reason otherwise, TensorRtException e) {
    return e.reason() == TensorRtException.Reason.MEMORY
        ? BackendException.Reason.OUT_OF_MEMORY
        : otherwise;
  }

  /** A call of a loaded model that failed. */
  static BackendException failed(TensorRtException e) {
    return new BackendException(
        reasonOr(BackendException.Reason.RUN_FAILED, e), "TensorRT: " + e.getMessage(), e);
  }

  /** The engine for this GPU and TensorRT; of the very GPU if there are several. */
  static Bundle.EngineFile choose(
      Bundle bundle, List<Bundle.EngineFile> engines, Gpu gpu, String version) {
    List<Bundle.EngineFile> fitting =
        engines.stream()
            .filter(engine -> engine.computeCapability().equals(gpu.computeCapability()))
            .filter(engine -> engine.tensorRt().equals(version))
            .filter(engine -> engine.modelSha256().equals(bundle.modelSha256()))
            .toList();
    Optional<Bundle.EngineFile> same =
        fitting.stream().filter(engine -> engine.gpu().equals(gpu.name())).findFirst();
    if (same.isPresent()) {
      return same.get();
    }
    if (!fitting.isEmpty()) {
      LOG.log(
          Logger.Level.WARNING,
          () ->
              fitting.get(0).file()
                  + " was built on "
                  + fitting.get(0).gpu()
                  + " and runs on "
                  + gpu.name()
                  + ": it may be slower than one built here ("
                  + Rebuild.command(bundle, fitting.get(0))
                  + ")");
      return fitting.get(0);
    }
    throw new BackendException(
        BackendException.Reason.MISMATCH,
        "no engine of "
            + bundle.folder()
            + " fits: "
            + engines.stream()
                .map(
                    engine ->
                        engine.file() + " was built " + differences(bundle, engine, gpu, version))
                .collect(Collectors.joining("; "))
            + ". Build one here: "
            + engines.stream()
                .map(engine -> Rebuild.command(bundle, engine))
                .distinct()
                .collect(Collectors.joining(", or ")));
  }

  /** As in "with TensorRT 10.4.0, not 10.6.0, and of another model.onnx"; all that do not fit. */
  private static String differences(
      Bundle bundle, Bundle.EngineFile engine, Gpu gpu, String version) {
    List<String> differences = new ArrayList<>();
    if (!engine.computeCapability().equals(gpu.computeCapability())) {
      differences.add(
          "for compute capability "
              + engine.computeCapability()
              + " ("
              + engine.gpu()
              + "), not "
              + gpu.computeCapability()
              + " ("
              + gpu.name()
              + ")");
    }
    if (!engine.tensorRt().equals(version)) {
      differences.add("with TensorRT " + engine.tensorRt() + ", not " + version);
    }
    if (!engine.modelSha256().equals(bundle.modelSha256())) {
      differences.add("of another " + bundle.modelPath().getFileName());
    }
    return String.join(", and ", differences);
  }

  /** Compares the engine's tensors with the bundle's description. */
  private void checkTensors() {
    Map<String, ElementType> wanted = new LinkedHashMap<>();
    bundle.inputs().forEach((name, type) -> wanted.put(name, type.element()));
    bundle.outputs().forEach((name, type) -> wanted.put(name, type.element()));
    bundle.actionInput().ifPresent(name -> wanted.put(name, ElementType.I32));
    for (Bundle.StateTensor tensor : state) {
      wanted.put(tensor.input(), tensor.type().element());
      wanted.put(tensor.output(), tensor.type().element());
    }
    for (IoTensor tensor : tensors.values()) {
      ElementType type = wanted.get(tensor.name());
      if (type == null) {
        throw mismatch("the engine's " + tensor.name() + " is not in the bundle's description");
      }
      if (!tensor.type().equals(type.shortName())) {
        throw mismatch("the engine's " + tensor.name() + " is " + tensor.type() + ", not " + type);
      }
      if (!tensor.onDevice()) {
        throw new BackendException(
            BackendException.Reason.LOAD_FAILED,
            "the engine computes shapes from the values of "
                + tensor.name()
                + ", which this runtime does not pass; run the portable model in ONNX Runtime");
      }
    }
    wanted
        .keySet()
        .forEach(
            name -> {
              // TensorRT may leave out an input that nothing reads.
              boolean isInput =
                  bundle.inputs().containsKey(name)
                      || state.stream().anyMatch(state -> state.input().equals(name));
              if (!isInput && !tensors.containsKey(name) && !isAction(name)) {
                throw mismatch("the engine has no output " + name);
              }
            });
  }

  private boolean isAction(String name) {
    return bundle.actionInput().filter(name::equals).isPresent();
  }

  private BundleException mismatch(String problem) {
    return new BundleException(
        BundleException.Reason.MODEL_MISMATCH,
        "an engine of "
            + bundle.folder()
            + " and "
            + Bundle.DESCRIPTION_FILE
            + " do not fit together: "
            + problem
            + "; build it again: "
            + Rebuild.command(bundle, file));
  }

  /** Passes on what TensorRT said. Its errors come as exceptions too. */
  static void log(TensorRt tensorRt) {
    for (TensorRt.Message message : tensorRt.takeMessages()) {
      Logger.Level level =
          message.severity() == Logger.Level.WARNING ? Logger.Level.INFO : Logger.Level.DEBUG;
      LOG.log(level, "TensorRT: " + message.text());
    }
  }

  @Override
  public String name() {
    String engineName = options.dense() ? " (dense engine) on " : " on ";
    return "TensorRT " + tensorRt.version() + engineName + gpu.name();
  }

  @Override
  public Execution newExecution() {
    try {
      ExecutionContext context = engine.newContext();
      try {
        return new TensorRtExecution(
            bundle, state, tensors, context, options.cudaGraphs(), tensorRt);
      } catch (RuntimeException e) {
        context.close();
        throw e;
      }
    } catch (TensorRtException e) {
      throw new BackendException(
          reasonOr(BackendException.Reason.RUN_FAILED, e),
          "no session of " + bundle.folder() + " on " + gpu + ": " + e.getMessage(),
          e);
    } finally {
      log(tensorRt);
    }
  }

  @Override
  public OptionalLong freeGpuMemory() {
    try {
      return OptionalLong.of(DeviceMemory.free());
    } catch (TensorRtException e) {
      throw failed(e);
    }
  }

  @Override
  public void close() {
    engine.close();
  }
}
