package io.sparsedit.tensorrt;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class PresetFailureTest {
  @Test
  void aMissingJarIsNamedWithTheRemedy() {
    NoClassDefFoundError failure = new NoClassDefFoundError("org/bytedeco/javacpp/Pointer");
    assertThat(PresetFailure.describe(failure))
        .contains("a JavaCPP preset is missing (org/bytedeco/javacpp/Pointer)")
        .contains("org.bytedeco:tensorrt")
        .contains("linux-x86_64");
  }

  @Test
  void aMissingNativeJarIsNamedWithTheRemedy() {
    UnsatisfiedLinkError failure = new UnsatisfiedLinkError("no jninvinfer in java.library.path");
    failure.initCause(
        new UnsatisfiedLinkError("Could not find jninvinfer in class, module, and library paths."));
    assertThat(PresetFailure.describe(failure))
        .contains("the native part of a JavaCPP preset is missing (no jninvinfer")
        .contains("classifier linux-x86_64");
  }

  @Test
  void whatTheLinkerMissesIsTold() {
    String linker = "/c/libjnicudart.so: libcuda.so.1: cannot open shared object file";
    UnsatisfiedLinkError failure = new UnsatisfiedLinkError("no jnicudart in java.library.path");
    failure.initCause(new UnsatisfiedLinkError(linker));
    assertThat(PresetFailure.describe(new ExceptionInInitializerError(failure)))
        .isEqualTo("a JavaCPP preset does not load: " + linker);
  }

  @Test
  void anythingElseIsToldInItsOwnWords() {
    assertThat(PresetFailure.describe(new IllegalStateException("the cache is not writable")))
        .isEqualTo("the JavaCPP presets do not load: the cache is not writable");
  }
}
