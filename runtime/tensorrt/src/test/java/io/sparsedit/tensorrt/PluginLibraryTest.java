package io.sparsedit.tensorrt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class PluginLibraryTest {
  @TempDir private Path temp;

  @Test
  void aLibraryThatIsNotThereIsNamed() {
    assertThatExceptionOfType(TensorRtException.class)
        .isThrownBy(() -> PluginLibrary.load(temp.resolve("absent.so")))
        .withMessageContaining("there is no plugin library")
        .withMessageContaining("absent.so")
        .extracting(TensorRtException::reason)
        .isEqualTo(TensorRtException.Reason.PLUGIN_LIBRARY);
  }

  @Test
  void aFileThatIsNoLibraryDoesNotLoad() throws IOException {
    Path file = Files.writeString(temp.resolve("text.so"), "no library");
    assertThatExceptionOfType(TensorRtException.class)
        .isThrownBy(() -> PluginLibrary.load(file))
        .withMessageContaining("does not load")
        .withMessageContaining("text.so");
  }

  @Test
  void aDriverThatIsTooOldIsToldWithTheOneThatWillDo() {
    assertThat(PluginLibrary.tooOld("12.4", "13.0"))
        .isEqualTo(
            "the NVIDIA driver supports CUDA 12.4, the plugin library needs CUDA 13.0, which is"
                + " driver 580 or later; update the driver");
    assertThat(PluginLibrary.tooOld("13.0", "14.0")).endsWith("needs CUDA 14.0; update the driver");
  }

  @Test
  void aMissingDriverAndAnOldOneAreTold() {
    assertDriver(0, "there is no NVIDIA driver on this machine");
    assertDriver(
        12_080, "the NVIDIA driver supports CUDA 12.8, the plugin library needs CUDA 13.0, which");
    assertThatCode(() -> PluginLibrary.requireDriver(13_000, 13_000)).doesNotThrowAnyException();
  }

  private static void assertDriver(int supported, String words) {
    assertThatExceptionOfType(TensorRtException.class)
        .isThrownBy(() -> PluginLibrary.requireDriver(supported, 13_000))
        .withMessageStartingWith(words)
        .satisfies(e -> assertThat(e.reason()).isEqualTo(TensorRtException.Reason.DRIVER));
  }

  @Test
  void machineCodeRunsWithinItsMajorVersion() {
    assertThat(PluginLibrary.runsOn("sm_80", 80)).isTrue();
    assertThat(PluginLibrary.runsOn("sm_80", 89)).isTrue();
    assertThat(PluginLibrary.runsOn("sm_86", 80)).isFalse();
    assertThat(PluginLibrary.runsOn("sm_80", 90)).isFalse();
    assertThat(PluginLibrary.runsOn("sm_80 sm_90", 90)).isTrue();
  }

  @Test
  void ptxRunsOnLaterGpus() {
    assertThat(PluginLibrary.runsOn("sm_80 compute_90", 100)).isTrue();
    assertThat(PluginLibrary.runsOn("compute_90", 89)).isFalse();
  }

  @Test
  void whatIsShippedRunsFromAmpereOn() {
    String shipped = "sm_80 sm_86 sm_89 sm_90 compute_90 sm_90a";
    for (int capability : new int[] {80, 86, 87, 89, 90, 100, 103, 120}) {
      assertThat(PluginLibrary.runsOn(shipped, capability)).isTrue();
    }
    assertThat(PluginLibrary.runsOn(shipped, 75)).isFalse();
  }

  @Test
  void codeOfOneArchitectureAloneDoesNotCount() {
    assertThat(PluginLibrary.runsOn("sm_90a", 90)).isFalse();
  }

  @Test
  void aGpuSaysItsComputeCapability() {
    Gpu gpu = new Gpu("NVIDIA H200", 90, 150_000_000_000L);
    assertThat(gpu.computeCapability()).isEqualTo("9.0");
    assertThat(gpu).hasToString("NVIDIA H200 (compute capability 9.0, 150 GB)");
  }
}
