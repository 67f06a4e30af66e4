package io.sparsedit.tensorrt.presets;

import java.lang.reflect.Field;
import java.net.URL;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.function.Function;
import org.bytedeco.javacpp.ClassProperties;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;

/**
 * The shared libraries that the presets are linked with, by their file names, as in {@code
 * libnvinfer.so.10}: of {@code cudart}, {@code nvinfer} or {@code nvonnxparser}.
 */
public final class PresetLibraries implements Function<String, String> {
  private static final String NOT_TO_BE_LOADED = "#";
  private static final Map<String, Class<?>> PRESETS =
      Map.of(
          "cudart", org.bytedeco.cuda.presets.cudart.class,
          "nvinfer", org.bytedeco.tensorrt.presets.nvinfer.class,
          "nvonnxparser", org.bytedeco.tensorrt.presets.nvonnxparser.class);

  /** Loads JavaCPP's own native library. */
  public PresetLibraries() {
    if (!Loader.isLoadLibraries()) {
      throw new UnsatisfiedLinkError(
          "JavaCPP is told to load no libraries; remove -Dorg.bytedeco.javacpp.loadLibraries");
    }
    Loader.load(Pointer.class); // that class keeps to itself why its library does not load
    Pointer.totalPhysicalBytes();
    PRESETS.values().forEach(PresetLibraries::leaveToOthers);
  }

  /**
   * Tells JavaCPP that a preset's libraries are nowhere to be found. Who needs one has loaded it;
   * JavaCPP would look for cuBLAS, cuDNN and TensorRT's builder, and for any version of CUDA, and
   * load into the process what it finds. Where JavaCPP does not keep what it found any more, this
   * does nothing.
   */
  private static void leaveToOthers(Class<?> preset) {
    try {
      Field field = Loader.class.getDeclaredField("foundLibraries");
      field.setAccessible(true);
      @SuppressWarnings("unchecked")
      Map<String, URL[]> found = (Map<String, URL[]>) field.get(null);
      ClassProperties properties = Loader.loadProperties(preset, Loader.loadProperties(), true);
      for (String key : List.of("platform.preload", "platform.link")) {
        properties.get(key).forEach(library -> found.putIfAbsent(library, new URL[0]));
      }
    } catch (ReflectiveOperationException | ClassCastException e) {
      // JavaCPP searches by itself.
    }
  }

  @Override
  public String apply(String preset) {
    Properties platform = Loader.loadProperties();
    List<String> links =
        Loader.loadProperties(PRESETS.get(preset), platform, false).get("platform.link").stream()
            .filter(link -> !link.endsWith(NOT_TO_BE_LOADED))
            .toList();
    String[] parts = links.get(0).split("@");
    return platform.getProperty("platform.library.prefix")
        + parts[0]
        + platform.getProperty("platform.library.suffix")
        + (parts.length > 1 ? parts[1] : "");
  }
}
