package io.sparsedit.tensorrt;

import io.sparsedit.tensorrt.calls.BuilderCalls;
import io.sparsedit.tensorrt.calls.CudaCalls;
import io.sparsedit.tensorrt.calls.TensorRtCalls;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * The calls that the JavaCPP presets make, for this process; loaded when first asked for, CUDA and
 * TensorRT's parser each apart from the rest. What a preset is linked with is loaded before it,
 * from the folder that {@value PluginLibrary#TENSORRT_FOLDER} names or from where the system's
 * loader looks.
 */
final class Presets {
  private static final Presets PROCESS = new Presets();
  private static final String PACKAGE = "io.sparsedit.tensorrt.presets.";

  /**
   * JavaCPP refuses to allocate once the process takes more memory than this, by default four times
   * the Java heap: weights and engines are outside the heap and no fault.
   */
  private static final String LIMIT = "org.bytedeco.javacpp.maxPhysicalBytes";

  private final ClassLoader loader = new PresetLoader(Presets.class.getClassLoader());
  private Optional<Function<?, ?>> libraries = Optional.empty();
  private Optional<CudaCalls> cuda = Optional.empty();
  private Optional<TensorRtCalls> tensorRt = Optional.empty();
  private Optional<BuilderCalls> builder = Optional.empty();

  private Presets() {}

  /**
   * CUDA.
   *
   * @throws TensorRtException of reason TENSORRT if a library or the preset is missing
   */
  static CudaCalls cuda() {
    return PROCESS.openCuda();
  }

  /**
   * TensorRT.
   *
   * @throws TensorRtException of reason TENSORRT if a library or the preset is missing
   */
  static TensorRtCalls tensorRt() {
    return PROCESS.openTensorRt();
  }

  /**
   * TensorRT's builder.
   *
   * @throws TensorRtException of reason TENSORRT if a library or the preset is missing
   */
  static BuilderCalls builder() {
    return PROCESS.openBuilder();
  }

  /** The file name of the library that a preset is linked with. */
  static String library(String preset) {
    return PROCESS.nameOf(preset);
  }

  /** Where the presets live. */
  static ClassLoader classLoader() {
    return PROCESS.loader;
  }

  private synchronized CudaCalls openCuda() {
    if (cuda.isEmpty()) {
      openLibrary("cudart");
      cuda = Optional.of(make(CudaCalls.class, "PresetCuda"));
    }
    return cuda.get();
  }

  private synchronized TensorRtCalls openTensorRt() {
    if (tensorRt.isEmpty()) {
      openCuda(); // the preset of TensorRT stands on it
      openLibrary("nvinfer");
      tensorRt = Optional.of(make(TensorRtCalls.class, "PresetTensorRt"));
    }
    return tensorRt.get();
  }

  private synchronized BuilderCalls openBuilder() {
    if (builder.isEmpty()) {
      TensorRtCalls base = openTensorRt();
      openLibrary("nvonnxparser");
      builder = Optional.of(make(BuilderCalls.class, "PresetBuilder", base));
    }
    return builder.get();
  }

  private synchronized String nameOf(String preset) {
    if (libraries.isEmpty()) {
      libraries = Optional.of(withoutMemoryLimit(() -> make(Function.class, "PresetLibraries")));
    }
    @SuppressWarnings("unchecked")
    Function<String, String> names = (Function<String, String>) libraries.get();
    return names.apply(preset);
  }

  /** JavaCPP reads the property once, when its first class is initialised. */
  private static <T> T withoutMemoryLimit(java.util.function.Supplier<T> initialise) {
    if (System.getProperty(LIMIT) != null) {
      return initialise.get();
    }
    System.setProperty(LIMIT, "0");
    try {
      return initialise.get();
    } finally {
      System.clearProperty(LIMIT);
    }
  }

  private void openLibrary(String preset) {
    String name = nameOf(preset);
    String folder = PluginLibrary.tensorRtFolder();
    List<String> failures = new ArrayList<>();
    for (String place : folder.isEmpty() ? List.of(name) : List.of(folder + "/" + name, name)) {
      String failure = PluginFunctions.open(place);
      if (failure.isEmpty()) {
        return;
      }
      failures.add(failure);
    }
    throw new TensorRtException(
        TensorRtException.Reason.TENSORRT,
        String.join("; ", failures)
            + ". Put the library on LD_LIBRARY_PATH, or into "
            + (folder.isEmpty()
                ? "a folder that " + PluginLibrary.TENSORRT_FOLDER + " names"
                : "the folder that " + PluginLibrary.TENSORRT_FOLDER + " names, " + folder));
  }

  private <T> T make(Class<T> type, String name, Object... arguments) {
    try {
      return type.cast(
          Class.forName(PACKAGE + name, true, loader).getConstructors()[0].newInstance(arguments));
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof TensorRtException known) {
        throw known;
      }
      throw unusable(e.getCause() instanceof LinkageError error ? error : e);
    } catch (ReflectiveOperationException | LinkageError e) {
      throw unusable(e);
    }
  }

  private static TensorRtException unusable(Throwable failure) {
    return new TensorRtException(
        TensorRtException.Reason.TENSORRT, PresetFailure.describe(failure), failure);
  }
}
