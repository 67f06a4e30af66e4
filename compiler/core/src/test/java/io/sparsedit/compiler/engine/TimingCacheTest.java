package io.sparsedit.compiler.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.tensorrt.Gpu;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;

final class TimingCacheTest {
  private final Gpu gpu = new Gpu("NVIDIA H100 80GB HBM3", 90, 80_000_000_000L);

  @Test
  void theFileIsTheUsersForThisGpuAndVersion() {
    assertThat(TimingCache.defaultFile(Map.of("HOME", "/home/u"), gpu, "10.6.0"))
        .contains(Path.of("/home/u/.cache/sparsedit/timing-10.6.0-nvidia-h100-80gb-hbm3.cache"));
    assertThat(
            TimingCache.defaultFile(
                Map.of("HOME", "/home/u", "XDG_CACHE_HOME", "/caches"), gpu, "10.6.0"))
        .contains(Path.of("/caches/sparsedit/timing-10.6.0-nvidia-h100-80gb-hbm3.cache"));
    assertThat(TimingCache.defaultFile(Map.of(), gpu, "10.6.0")).isEmpty();
  }
}
