package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.tensorrt.EngineBuilder;
import io.sparsedit.tensorrt.Gpu;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** Timings that builds leave for later builds, in a file of the user's. */
public final class TimingCache {
  private final Optional<Path> file;

  TimingCache(Optional<Path> file) {
    this.file = file;
  }

  /**
   * Where the user's caches are kept ({@code XDG_CACHE_HOME}, or {@code ~/.cache}): a file for this
   * GPU and this TensorRT.
   *
   * @param environment the process's environment
   * @return empty if there is no such place
   */
  public static Optional<Path> defaultFile(
      Map<String, String> environment, Gpu gpu, String tensorRt) {
    String base = environment.getOrDefault("XDG_CACHE_HOME", "");
    String home = environment.getOrDefault("HOME", "");
    if (base.isEmpty() && home.isEmpty()) {
      return Optional.empty();
    }
    Path folder = base.isEmpty() ? Path.of(home, ".cache") : Path.of(base);
    String name = gpu.name().toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-");
    return Optional.of(
        folder.resolve("sparsedit").resolve("timing-" + tensorRt + "-" + name + ".cache"));
  }

  /** Gives the builder what the file holds; a file that does not fit counts as empty. */
  void lend(EngineBuilder builder) {
    byte[] content = new byte[0];
    try {
      if (file.isPresent() && Files.isRegularFile(file.get())) {
        content = Files.readAllBytes(file.get());
      }
    } catch (IOException e) {
      // Unreadable: the timings are measured again.
    }
    if (!builder.useTimingCache(content)) {
      builder.useTimingCache(new byte[0]);
    }
  }

  /** Keeps the builder's timings; empty, or why that failed, which is no reason to fail a build. */
  Optional<String> keep(EngineBuilder builder) {
    if (file.isEmpty()) {
      return Optional.empty();
    }
    try {
      Files.createDirectories(file.get().toAbsolutePath().getParent());
      byte[] content = builder.timingCache();
      AtomicFile.write(file.get(), out -> out.write(content));
      return Optional.empty();
    } catch (IOException e) {
      return Optional.of("the timing cache is not kept: " + AtomicFile.reason(e));
    } catch (SparsifyException e) {
      return Optional.of("the timing cache is not kept: " + e.getMessage());
    }
  }
}
