package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.tensorrt.Gpu;
import io.sparsedit.tensorrt.PluginLibrary;
import io.sparsedit.tensorrt.TensorRt;
import io.sparsedit.tensorrt.TensorRtException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What a build needs of the machine, found before anything is begun.
 *
 * @param plugins the plugin library
 * @param gpu the GPU
 * @param tensorRt TensorRT
 */
public record BuildTools(PluginLibrary plugins, Gpu gpu, TensorRt tensorRt) {
  /**
   * Looks for them, in the order in which a failure is told best. TensorRT, which would end the
   * process where there is no GPU, comes last.
   *
   * @throws SparsifyException of kind NO_GPU that says what is missing
   */
  public static BuildTools find(Path pluginLibrary) {
    if (!Files.isRegularFile(pluginLibrary)) {
      throw new SparsifyException(
          SparsifyException.Kind.NO_GPU,
          "there is no plugin library "
              + pluginLibrary
              + ". Where there is an NVIDIA GPU with its driver, build it (cmake -S plugins-cuda -B"
              + " build/cuda && cmake --build build/cuda -j --target sparsedit_plugins;"
              + " docs/tensorrt.md), and name another place with --plugin-library or"
              + " SPARSEDIT_PLUGINS. Without a GPU the bundle runs in ONNX Runtime.");
    }
    try {
      PluginLibrary plugins = PluginLibrary.load(pluginLibrary);
      Gpu gpu = plugins.requireGpu();
      return new BuildTools(plugins, gpu, plugins.openTensorRt());
    } catch (TensorRtException e) {
      throw new SparsifyException(
          SparsifyException.Kind.NO_GPU,
          "an engine cannot be built here: "
              + e.getMessage()
              + ". An engine is built on the kind of GPU that it is to run on; without one the"
              + " bundle runs in ONNX Runtime.",
          e);
    }
  }
}
