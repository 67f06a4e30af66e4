package io.sparsedit.tensorrt;

import java.io.IOException;
import java.io.InputStream;
import java.util.List;

/**
 * Loads the JavaCPP presets apart from the application's own classes.
 *
 * <p>The preset of TensorRT initialises those of cuBLAS, cuDNN, NVRTC and of TensorRT's plugins,
 * and so wants native libraries that TensorRT 10 itself does not need. Here those four are empty
 * classes. They are in this loader alone: the order of the class path does not matter, and an
 * application that uses the presets itself has them whole. JavaCPP loads a native library that both
 * use a second time, under another name.
 *
 * <pre>
 *   application     io.sparsedit..., and the presets if it uses them
 *      ^
 *   this loader     org.bytedeco..., from the same jars; io.sparsedit.tensorrt.presets
 * </pre>
 */
final class PresetLoader extends ClassLoader {
  private static final List<String> OWN =
      List.of(
          "org.bytedeco.javacpp.",
          "org.bytedeco.cuda.",
          "org.bytedeco.tensorrt.",
          "io.sparsedit.tensorrt.presets.");

  private static final List<String> EMPTY =
      List.of(
          "org.bytedeco.cuda.global.cublas",
          "org.bytedeco.cuda.global.cudnn",
          "org.bytedeco.cuda.global.nvrtc",
          "org.bytedeco.tensorrt.global.nvinfer_plugin");

  static {
    registerAsParallelCapable();
  }

  /** Takes the classes from where a parent finds its own. */
  PresetLoader(ClassLoader parent) {
    super("sparsedit-presets", parent);
  }

  @Override
  protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
    if (OWN.stream().noneMatch(name::startsWith)) {
      return super.loadClass(name, resolve);
    }
    synchronized (getClassLoadingLock(name)) {
      Class<?> loaded = findLoadedClass(name);
      if (loaded == null) {
        byte[] bytes = EMPTY.contains(name) ? EmptyClass.named(name) : read(name);
        loaded =
            defineClass(name, bytes, 0, bytes.length, PresetLoader.class.getProtectionDomain());
      }
      if (resolve) {
        resolveClass(loaded);
      }
      return loaded;
    }
  }

  private byte[] read(String name) throws ClassNotFoundException {
    String file = name.replace('.', '/') + ".class";
    try (InputStream in = getParent().getResourceAsStream(file)) {
      if (in == null) {
        throw new ClassNotFoundException(name);
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new ClassNotFoundException(name, e);
    }
  }
}
