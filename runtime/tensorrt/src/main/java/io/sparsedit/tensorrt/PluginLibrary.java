package io.sparsedit.tensorrt;

import io.sparsedit.tensorrt.calls.TensorRtCalls;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * SparseDiT's plugin library: the kernels as TensorRT plugins, and what this module needs beyond
 * the JavaCPP presets.
 *
 * <p>A process holds one, for TensorRT keeps one registry of plugins: the first that is loaded
 * stays. Another file with the same content stands for it; one with other content is refused.
 */
public final class PluginLibrary {
  /** The file's name, wherever it is. */
  public static final String FILE_NAME = "libsparsedit_plugins.so";

  /** Names a folder with TensorRT's libraries, where the system's loader does not find them. */
  public static final String TENSORRT_FOLDER = "SPARSEDIT_TENSORRT";

  private static final int VERSION_BYTES = 256;
  private static final int TEXT_BYTES = 96;
  private static final int TARGETS = 24;
  private static final int OPERATORS = TARGETS + TEXT_BYTES;
  private static final Loaded LOADED = new Loaded();

  private final Path file;
  private final Structure version;

  private PluginLibrary(Path file) {
    this.file = file;
    this.version = new Structure(VERSION_BYTES).putInt(0, VERSION_BYTES).fill("plugin_version");
  }

  /** What this process has loaded. */
  private static final class Loaded {
    private Optional<PluginLibrary> library = Optional.empty();
    private Optional<TensorRt> tensorRt = Optional.empty();

    synchronized TensorRt openTensorRt(PluginLibrary plugins) {
      if (tensorRt.isEmpty()) {
        TensorRtCalls calls = Presets.tensorRt();
        calls.registerPlugins(plugins.file.toString());
        tensorRt = Optional.of(new TensorRt(plugins, calls));
      }
      return tensorRt.get();
    }

    synchronized PluginLibrary load(Path file) {
      if (library.isPresent()) {
        PluginLibrary there = library.get();
        if (sameContent(there.file, file)) {
          return there;
        }
        throw new TensorRtException(
            TensorRtException.Reason.PLUGIN_LIBRARY,
            file
                + " is another plugin library than "
                + there.file
                + ", which this process uses already; a process can use one. Build the bundles with"
                + " the same library, or run them in processes of their own");
      }
      try {
        System.load(file.toString());
      } catch (UnsatisfiedLinkError e) {
        throw new TensorRtException(
            TensorRtException.Reason.PLUGIN_LIBRARY,
            "the plugin library does not load: " + e.getMessage(),
            e);
      }
      try {
        PluginLibrary loaded = new PluginLibrary(file);
        library = Optional.of(loaded);
        return loaded;
      } catch (UnsatisfiedLinkError e) {
        throw new TensorRtException(
            TensorRtException.Reason.PLUGIN_LIBRARY,
            file
                + " does not serve this program: it is older, or was built without a JDK (set"
                + " JAVA_HOME for CMake)",
            e);
      }
    }

    private static boolean sameContent(Path a, Path b) {
      try {
        return Files.isSameFile(a, b) || Files.mismatch(a, b) < 0;
      } catch (IOException e) {
        throw new TensorRtException(
            TensorRtException.Reason.PLUGIN_LIBRARY,
            "the plugin library cannot be read: " + e.getMessage(),
            e);
      }
    }
  }

  /**
   * Loads the library into this process; needs neither TensorRT nor a GPU.
   *
   * @throws TensorRtException if it is not there, does not load, or another one is loaded
   */
  public static PluginLibrary load(Path file) {
    Path absolute = file.toAbsolutePath().normalize();
    if (!Files.isRegularFile(absolute)) {
      throw new TensorRtException(
          TensorRtException.Reason.PLUGIN_LIBRARY, "there is no plugin library " + file);
    }
    return LOADED.load(absolute);
  }

  /** The file that was loaded. */
  public Path file() {
    return file;
  }

  /** The {@code plugin_version} of the nodes that the plugins accept. */
  public int pluginVersion() {
    return version.getInt(4);
  }

  /** The operators that there are plugins for. */
  public List<String> operators() {
    return List.of(version.text(OPERATORS, TEXT_BYTES).split(" "));
  }

  /** What the kernels were compiled for, as in {@code sm_80 compute_90 sm_90a}. */
  public String targets() {
    return version.text(TARGETS, TEXT_BYTES);
  }

  /** The CUDA version that the driver must support at least, as in {@code 13.0}. */
  public String cudaNeeded() {
    return cudaVersion(version.getInt(12));
  }

  /** The CUDA version that the driver supports, as in {@code 13.0}; empty without a driver. */
  public Optional<String> cudaOfDriver() {
    int driver = version.getInt(16);
    return driver == 0 ? Optional.empty() : Optional.of(cudaVersion(driver));
  }

  private static String cudaVersion(int code) {
    return code / 1000 + "." + code % 1000 / 10;
  }

  /**
   * The GPU, after making sure that driver, GPU and kernels fit together. Touches nothing of
   * TensorRT.
   *
   * @throws TensorRtException if there is no driver, it is too old, there is no GPU, or the kernels
   *     are not made for it
   */
  public Gpu requireGpu() {
    requireDriver(version.getInt(16), version.getInt(12));
    PluginFunctions.Gpus gpus = PluginFunctions.gpus();
    if (gpus.count() <= 0) {
      String why = gpus.failure().isEmpty() ? "" : " (" + gpus.failure() + ")";
      throw new TensorRtException(
          TensorRtException.Reason.GPU, "no GPU can be used on this machine" + why);
    }
    Gpu gpu = gpus.first();
    if (!runsOn(targets(), gpu.capability())) {
      throw new TensorRtException(
          TensorRtException.Reason.GPU,
          "the plugin library has kernels for "
              + targets()
              + ", which do not run on "
              + gpu
              + "; build it for that GPU");
    }
    return gpu;
  }

  /** What is said of a driver, with NVIDIA's number of the first that will do where it is known. */
  static String tooOld(String supported, String needed) {
    return "the NVIDIA driver supports CUDA "
        + supported
        + ", the plugin library needs CUDA "
        + needed
        + (needed.equals("13.0") ? ", which is driver 580 or later" : "")
        + "; update the driver";
  }

  /**
   * Makes sure that there is a driver, and that it is recent enough.
   *
   * @param supported the CUDA version that the driver supports, as CUDA codes it, or 0 without one
   * @param needed that which the kernels need
   */
  static void requireDriver(int supported, int needed) {
    if (supported == 0) {
      throw new TensorRtException(
          TensorRtException.Reason.DRIVER, "there is no NVIDIA driver on this machine");
    }
    if (supported < needed) {
      throw new TensorRtException(
          TensorRtException.Reason.DRIVER, tooOld(cudaVersion(supported), cudaVersion(needed)));
    }
  }

  /**
   * Whether kernels for these targets run on a GPU: machine code within a major version, PTX also
   * on later ones, and neither if it is of one architecture alone ({@code sm_90a}).
   */
  static boolean runsOn(String targets, int capability) {
    for (String target : targets.split(" ")) {
      int underscore = target.indexOf('_');
      String number = target.substring(underscore + 1);
      if (underscore < 0 || !number.matches("\\d{2,3}")) {
        continue;
      }
      int made = Integer.parseInt(number);
      boolean portable = target.startsWith("compute_");
      if (made <= capability && (portable || made / 10 == capability / 10)) {
        return true;
      }
    }
    return false;
  }

  /**
   * Finds TensorRT and registers the plugins there. Needs no GPU.
   *
   * <p>Its libraries are looked for in the folder that the system property or environment variable
   * {@value #TENSORRT_FOLDER} names, or where the system's loader looks.
   *
   * @throws TensorRtException if its libraries are not found, or are of another major version
   */
  public TensorRt openTensorRt() {
    try {
      return LOADED.openTensorRt(this);
    } catch (TensorRtException e) {
      throw new TensorRtException(
          TensorRtException.Reason.TENSORRT, "TensorRT is not usable here: " + e.getMessage(), e);
    }
  }

  static String tensorRtFolder() {
    String property = System.getProperty(TENSORRT_FOLDER, "");
    String variable = System.getenv().getOrDefault(TENSORRT_FOLDER, "");
    return property.isEmpty() ? variable : property;
  }
}
