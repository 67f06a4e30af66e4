package io.sparsedit.tensorrt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;
import org.junit.jupiter.api.io.TempDir;

/**
 * The real plugin library, and the real TensorRT where it is there; neither needs a GPU. {@code
 * plugins-cuda/test-tensorrt.sh} builds and names both.
 */
@EnabledIfEnvironmentVariable(named = "SPARSEDIT_PLUGINS", matches = ".+")
final class RealLibraryTest {
  private final Path file = Path.of(System.getenv().getOrDefault("SPARSEDIT_PLUGINS", ""));

  @TempDir private Path temp;

  @Test
  void theLibrarySaysWhatItHolds() {
    PluginLibrary library = PluginLibrary.load(file);
    assertThat(library.operators()).contains("Svg2Plan", "BlockSparseAttention");
    assertThat(library.pluginVersion()).isEqualTo(1);
    assertThat(library.targets()).contains("sm_80", "compute_90");
    assertThat(library.cudaNeeded()).matches("\\d+\\.0");
  }

  @Test
  void theGpuIsThereOrMissedInWords() {
    PluginLibrary library = PluginLibrary.load(file);
    try {
      assertThat(library.requireGpu().capability()).isGreaterThanOrEqualTo(80);
    } catch (TensorRtException e) {
      assertThat(e.reason()).isIn(TensorRtException.Reason.DRIVER, TensorRtException.Reason.GPU);
    }
  }

  @Test
  void aCopyWithTheSameContentStandsForTheLibrary() throws IOException {
    PluginLibrary library = PluginLibrary.load(file);
    Path copy = Files.copy(file, temp.resolve("copy.so"));
    assertThat(PluginLibrary.load(copy)).isSameAs(library);

    Files.write(copy, new byte[] {0}, StandardOpenOption.APPEND);
    assertThatExceptionOfType(TensorRtException.class)
        .isThrownBy(() -> PluginLibrary.load(copy))
        .withMessageContaining("is another plugin library than")
        .satisfies(e -> assertThat(e.reason()).isEqualTo(TensorRtException.Reason.PLUGIN_LIBRARY));
  }

  @Test
  @EnabledIfEnvironmentVariable(named = PluginLibrary.TENSORRT_FOLDER, matches = ".+")
  void tensorRtTakesThePluginsOnce() {
    PluginLibrary library = PluginLibrary.load(file);
    TensorRt tensorRt = library.openTensorRt();
    assertThat(tensorRt.version()).startsWith("10.");
    assertThat(library.openTensorRt().version()).isEqualTo(tensorRt.version());
  }

  @Test
  @EnabledIfEnvironmentVariable(named = PluginLibrary.TENSORRT_FOLDER, matches = ".+")
  void aFileThatIsNoEngineEndsInAnException() throws IOException {
    PluginLibrary library = PluginLibrary.load(file);
    TensorRt tensorRt = library.openTensorRt();
    Path engine = Files.writeString(temp.resolve("e.plan"), "no engine");

    TensorRtException thrown =
        catchThrowableOfType(TensorRtException.class, () -> tensorRt.load(engine));

    if (hasGpu(library)) {
      assertThat(thrown.reason()).isEqualTo(TensorRtException.Reason.FAILED);
      assertThat(thrown).hasMessageContaining("TensorRT does not load the engine");
    } else {
      assertThat(thrown.reason())
          .isIn(TensorRtException.Reason.DRIVER, TensorRtException.Reason.GPU);
    }
  }

  @Test
  @EnabledIfEnvironmentVariable(named = PluginLibrary.TENSORRT_FOLDER, matches = ".+")
  void withoutAGpuABuilderIsAnExceptionAndNotTheEndOfTheProcess() {
    PluginLibrary library = PluginLibrary.load(file);
    assumeFalse(hasGpu(library));
    TensorRt tensorRt = library.openTensorRt();

    assertThatExceptionOfType(TensorRtException.class)
        .isThrownBy(tensorRt::newBuilder)
        .satisfies(
            e ->
                assertThat(e.reason())
                    .isIn(TensorRtException.Reason.DRIVER, TensorRtException.Reason.GPU));
  }

  @Test
  @EnabledIfEnvironmentVariable(named = PluginLibrary.TENSORRT_FOLDER, matches = ".+")
  void aRuntimeThatIsNoneIsToldByTheLog() {
    PluginLibrary library = PluginLibrary.load(file);
    assumeFalse(hasGpu(library));
    library.openTensorRt();

    assertThatExceptionOfType(TensorRtException.class)
        .isThrownBy(() -> Presets.tensorRt().newRuntime())
        .withMessageContaining("TensorRT makes no runtime: ")
        .withMessageContaining("CUDA")
        .satisfies(e -> assertThat(e.reason()).isEqualTo(TensorRtException.Reason.FAILED));
  }

  @Test
  @EnabledIfEnvironmentVariable(named = PluginLibrary.TENSORRT_FOLDER, matches = ".+")
  void whatTensorRtDoesNotNeedIsNotLoaded() throws IOException {
    PluginLibrary.load(file).openTensorRt();

    Set<String> loaded =
        Files.readAllLines(Path.of("/proc/self/maps")).stream()
            .map(line -> line.substring(line.lastIndexOf('/') + 1))
            .filter(name -> name.contains(".so"))
            .collect(Collectors.toSet());

    assertThat(loaded)
        .anyMatch(name -> name.startsWith("libjninvinfer"))
        .noneMatch(name -> name.matches("lib(cublas|cudnn|nvrtc|nvinfer_).*"));
    assertThat(loaded).filteredOn(name -> name.startsWith("libcudart")).hasSize(1);
  }

  private static boolean hasGpu(PluginLibrary library) {
    return library.cudaOfDriver().isPresent() && PluginFunctions.gpus().count() > 0;
  }
}
