package io.sparsedit.tensorrt.presets;

import io.sparsedit.tensorrt.TensorRtException;
import java.nio.charset.StandardCharsets;
import org.bytedeco.javacpp.BytePointer;

/** Texts between Java and TensorRT, which are UTF-8 there. */
final class Texts {
  private Texts() {}

  /** To be closed. The presets' own conversion would take the JVM's default character set. */
  static BytePointer utf8(String text) {
    return new BytePointer(text, StandardCharsets.UTF_8);
  }

  /** A tensor's name, which the presets have decoded by the JVM's default character set. */
  static String name(String decoded) {
    if (decoded == null) {
      throw TensorRtException.failed("TensorRT has no such tensor");
    }
    if (decoded.indexOf('\uFFFD') >= 0) {
      throw TensorRtException.failed(
          "a tensor's name, '"
              + decoded
              + "', is not readable in this JVM's character set; start Java with"
              + " -Dfile.encoding=UTF-8");
    }
    return decoded;
  }

  /** A text of TensorRT's, which keeps it; empty if there is none. */
  static String text(BytePointer text) {
    return text == null || text.isNull() ? "" : text.getString(StandardCharsets.UTF_8);
  }
}
