package io.sparsedit.tensorrt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.sparsedit.tensorrt.calls.CudaCalls;
import java.util.List;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The presets beside an application's own, as far as that needs no native library but JavaCPP's.
 */
final class PresetLoaderTest {
  private final ClassLoader application = PresetLoaderTest.class.getClassLoader();
  private final ClassLoader loader = new PresetLoader(application);

  @ParameterizedTest
  @ValueSource(
      strings = {
        "org.bytedeco.cuda.global.cublas",
        "org.bytedeco.cuda.global.cudnn",
        "org.bytedeco.cuda.global.nvrtc",
        "org.bytedeco.tensorrt.global.nvinfer_plugin"
      })
  void whatTensorRtDoesNotNeedIsEmptyHereAndWholeForTheApplication(String name)
      throws ClassNotFoundException {
    Class<?> here = Class.forName(name, true, loader);
    Class<?> there = Class.forName(name, false, application);

    assertThat(here.getName()).isEqualTo(name);
    assertThat(here.getDeclaredMethods()).isEmpty();
    assertThat(here.getSuperclass()).isEqualTo(Object.class);
    assertThat(there.getDeclaredMethods()).isNotEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "org.bytedeco.javacpp.Loader",
        "org.bytedeco.cuda.global.cudart",
        "org.bytedeco.tensorrt.nvinfer.ICudaEngine",
        "io.sparsedit.tensorrt.presets.PresetCuda"
      })
  void thePresetsAreNotTheApplicationsOwn(String name) throws ClassNotFoundException {
    Class<?> here = Class.forName(name, false, loader);
    assertThat(here.getClassLoader()).isSameAs(loader);
    assertThat(here).isNotSameAs(Class.forName(name, false, application));
    assertThat(here).isSameAs(Class.forName(name, false, loader));
  }

  @Test
  void whatCrossesTheBoundaryIsShared() throws ClassNotFoundException {
    for (Class<?> shared : List.of(CudaCalls.class, TensorRtException.class, String.class)) {
      assertThat(Class.forName(shared.getName(), false, loader)).isSameAs(shared);
    }
  }

  @Test
  void aPresetThatIsNotOnTheClassPathIsNamed() {
    ClassLoader bare = new PresetLoader(ClassLoader.getPlatformClassLoader());
    assertThatExceptionOfType(ClassNotFoundException.class)
        .isThrownBy(() -> bare.loadClass("org.bytedeco.javacpp.Pointer"))
        .withMessage("org.bytedeco.javacpp.Pointer");
  }

  /** JavaCPP's native library is loaded twice in this process, once for each side. */
  @Test
  void bothSidesUseTheirOwnJavaCpp() throws ReflectiveOperationException {
    try (IntPointer own = new IntPointer(1).put(7)) {
      Class<?> pointer = Class.forName("org.bytedeco.javacpp.Pointer", true, loader);
      assertThat((long) pointer.getMethod("totalPhysicalBytes").invoke(null))
          .isEqualTo(Pointer.totalPhysicalBytes())
          .isPositive();
      assertThat(Presets.library("nvinfer")).isNotEmpty(); // a third
      assertThat(own.get()).isEqualTo(7);
    }
  }

  @Test
  void thePresetsSayWhichLibrariesTheyNeed() {
    assertThat(Presets.library("cudart")).matches("libcudart\\.so\\.\\d+");
    assertThat(Presets.library("nvinfer")).matches("libnvinfer\\.so\\.\\d+");
    assertThat(Presets.library("nvonnxparser")).matches("libnvonnxparser\\.so\\.\\d+");
  }

  /** An engine's weights would else make JavaCPP refuse to allocate. */
  @Test
  void memoryOutsideTheHeapIsNotLimitedForThePresetsAlone() throws ReflectiveOperationException {
    Presets.library("cudart");
    ClassLoader presets = Presets.classLoader();
    Class<?> pointer = Class.forName("org.bytedeco.javacpp.Pointer", true, presets);

    assertThat((long) pointer.getMethod("maxPhysicalBytes").invoke(null)).isZero();
    assertThat(Pointer.maxPhysicalBytes()).isPositive();
    assertThat(System.getProperties()).doesNotContainKey("org.bytedeco.javacpp.maxPhysicalBytes");
  }
}
