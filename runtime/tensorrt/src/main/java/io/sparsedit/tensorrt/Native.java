package io.sparsedit.tensorrt;

import java.nio.ByteBuffer;

/**
 * The functions of the plugin library's C interface ({@code plugins/sparsedit_plugins.h}), called
 * by name. A name that the library does not have is an {@link UnsatisfiedLinkError}.
 */
final class Native {
  private Native() {}

  /** Calls a function with a direct buffer that it reads and fills. */
  static native void fill(String function, ByteBuffer memory);

  /** Calls a function with an object of its own, or TensorRT's. */
  static native void apply(String function, long object);
}
