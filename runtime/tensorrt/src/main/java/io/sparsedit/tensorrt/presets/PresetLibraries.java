package io.sparsedit.tensorrt.presets;

import java.util.List;
import java.util.Properties;
import java.util.function.Function;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;

/**
 * The shared libraries that the presets are linked with, by their file names, as in {@code
 * libnvinfer.so.10}: {@code cudart}, {@code nvinfer} or {@code nvonnxparser}.
 */
public final class PresetLibraries implements Function<String, String> {
  private static final String ABSENT = "#";

  /** Loads JavaCPP's own native library. */
  public PresetLibraries() {
    Pointer.totalPhysicalBytes();
  }

  @Override
  public String apply(String preset) {
    Class<?> described =
        switch (preset) {
          case "cudart" -> org.bytedeco.cuda.presets.cudart.class;
          case "nvinfer" -> org.bytedeco.tensorrt.presets.nvinfer.class;
          case "nvonnxparser" -> org.bytedeco.tensorrt.presets.nvonnxparser.class;
          default -> throw new IllegalArgumentException(preset);
        };
    Properties platform = Loader.loadProperties();
    List<String> links =
        Loader.loadProperties(described, platform, false).get("platform.link").stream()
            .filter(link -> !link.endsWith(ABSENT))
            .toList();
    String[] parts = links.get(0).split("@");
    return platform.getProperty("platform.library.prefix")
        + parts[0]
        + platform.getProperty("platform.library.suffix")
        + (parts.length > 1 ? parts[1] : "");
  }
}
