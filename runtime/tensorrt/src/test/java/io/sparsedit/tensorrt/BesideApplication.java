package io.sparsedit.tensorrt;

import java.nio.file.Path;
import org.bytedeco.cuda.global.cudart;

/** An application that uses the CUDA preset itself, before or after the runtime. */
final class BesideApplication {
  private BesideApplication() {}

  /** Takes the plugin library and who comes first, {@code application} or {@code runtime}. */
  public static void main(String[] arguments) {
    if (arguments[1].equals("application")) {
      useCuda();
    }
    TensorRt tensorRt = PluginLibrary.load(Path.of(arguments[0])).openTensorRt();
    useCuda();
    System.out.println("TensorRT " + tensorRt.version() + " beside CUDA");
  }

  private static void useCuda() {
    int[] version = new int[1];
    if (cudart.cudaRuntimeGetVersion(version) != 0
        || version[0] / 1000 != cudart.CUDART_VERSION / 1000) {
      throw new IllegalStateException("CUDA runtime " + version[0]);
    }
  }
}
