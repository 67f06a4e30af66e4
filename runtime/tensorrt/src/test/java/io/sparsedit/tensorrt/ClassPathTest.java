package io.sparsedit.tensorrt;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The real TensorRT in processes of their own: either order of the class path and of first use, and
 * without the native part of the presets.
 */
@EnabledIfEnvironmentVariable(named = PluginLibrary.TENSORRT_FOLDER, matches = ".+")
@EnabledIfEnvironmentVariable(named = "SPARSEDIT_PLUGINS", matches = ".+")
final class ClassPathTest {
  private final List<String> classPath =
      List.of(System.getProperty("java.class.path").split(File.pathSeparator));

  @TempDir private Path temp;

  @ParameterizedTest
  @CsvSource({
    "false,application",
    "false,runtime",
    "true,application",
    "true,runtime",
  })
  void tensorRtOpensBesideAnApplicationThatUsesTheCudaPreset(boolean reversed, String first)
      throws IOException, InterruptedException {
    List<String> order = new ArrayList<>(classPath);
    if (reversed) {
      Collections.reverse(order);
    }
    assertThat(run(order, first)).containsPattern("TensorRT 10\\.\\S+ beside CUDA");
  }

  /** The known recipe, empty classes ahead of the presets, does no harm. */
  @ParameterizedTest
  @CsvSource({"application", "runtime"})
  void emptyClassesAheadOfThePresetsDoNoHarm(String first)
      throws IOException, InterruptedException {
    Path folder = Files.createDirectories(temp.resolve("org/bytedeco/cuda/global"));
    for (String name : List.of("cublas", "cudnn", "nvrtc")) {
      Files.write(
          folder.resolve(name + ".class"), EmptyClass.named("org.bytedeco.cuda.global." + name));
    }
    List<String> order = new ArrayList<>(classPath);
    order.add(0, temp.toString());
    assertThat(run(order, first)).contains("beside CUDA");
  }

  @ParameterizedTest
  @CsvSource({"tensorrt", "cuda", "javacpp"})
  void aMissingNativeJarIsToldWithTheRemedy(String preset)
      throws IOException, InterruptedException {
    List<String> order =
        classPath.stream()
            .filter(entry -> !entry.matches(".*/" + preset + "-[^/]*linux-x86_64\\.jar"))
            .toList();
    assertThat(order).hasSize(classPath.size() - 1);
    assertThat(run(order, "runtime"))
        .contains("TensorRtException: TensorRT is not usable here: ")
        .contains("the native part of a JavaCPP preset is missing")
        .contains("classifier linux-x86_64");
  }

  @Test
  void aCacheThatCannotBeWrittenIsToldWithTheRemedy() throws IOException, InterruptedException {
    assertThat(run(classPath, "runtime", "-Duser.home=/dev/null", "-Djava.io.tmpdir=/dev/null"))
        .contains("TensorRtException: TensorRT is not usable here: JavaCPP has no folder")
        .contains("-Dorg.bytedeco.javacpp.cachedir");
  }

  @Test
  void anOptionThatForbidsNativeLibrariesIsNamed() throws IOException, InterruptedException {
    assertThat(run(classPath, "runtime", "-Dorg.bytedeco.javacpp.loadLibraries=false"))
        .contains("TensorRtException: TensorRT is not usable here: ")
        .contains("remove -Dorg.bytedeco.javacpp.loadLibraries");
  }

  private String run(List<String> order, String first, String... options)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of(options));
    command.addAll(List.of("-cp", String.join(File.pathSeparator, order)));
    command.addAll(
        List.of(BesideApplication.class.getName(), System.getenv("SPARSEDIT_PLUGINS"), first));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    // The application's own preset goes by it alone.
    builder
        .environment()
        .merge(
            "LD_LIBRARY_PATH",
            System.getenv(PluginLibrary.TENSORRT_FOLDER),
            (path, folder) -> folder + File.pathSeparator + path);
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor(1, TimeUnit.MINUTES)).isTrue();
    return output;
  }
}
