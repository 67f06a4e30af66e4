package io.sparsedit.tensorrt;

import java.util.LinkedHashSet;
import java.util.Set;

/** Says in one message why the presets do not load, and what to do. */
final class PresetFailure {
  private static final String JARS =
      "put org.bytedeco:tensorrt, org.bytedeco:cuda and org.bytedeco:javacpp on the class path, each"
          + " also with the classifier linux-x86_64, in the versions that this program was built with";

  private static final String NO_CACHE = "Could not create the cache";

  private PresetFailure() {}

  static String describe(Throwable failure) {
    Set<String> words = new LinkedHashSet<>();
    boolean classMissing = false;
    boolean nativeMissing = false;
    String linker = "";
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      String text = String.valueOf(cause.getMessage());
      words.add(text);
      classMissing |=
          cause instanceof ClassNotFoundException || cause instanceof NoClassDefFoundError;
      nativeMissing |=
          text.contains("Could not find jni")
              || text.contains("no jni")
              || text.contains("'long org.bytedeco.javacpp.Pointer.");
      if (cause instanceof UnsatisfiedLinkError && text.contains(".so") && text.contains(": ")) {
        linker = text;
      }
    }
    if (words.stream().anyMatch(text -> text.contains(NO_CACHE))) {
      return "JavaCPP has no folder to unpack its native libraries into; name one that can be written"
          + " with -Dorg.bytedeco.javacpp.cachedir";
    }
    if (!linker.isEmpty() && !linker.startsWith("no jni")) {
      return "a JavaCPP preset does not load: " + linker;
    }
    if (nativeMissing) {
      return "the native part of a JavaCPP preset is missing ("
          + String.join("; ", words)
          + "); "
          + JARS;
    }
    if (classMissing) {
      return "a JavaCPP preset is missing (" + String.join("; ", words) + "); " + JARS;
    }
    return "the JavaCPP presets do not load: " + String.join("; ", words);
  }
}
