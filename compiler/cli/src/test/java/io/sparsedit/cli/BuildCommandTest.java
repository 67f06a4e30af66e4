package io.sparsedit.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.onnx.OnnxReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What an engine build says where it cannot begin; building takes a GPU (docs/tensorrt.md). */
final class BuildCommandTest {
  private static final int USAGE = 2;
  private static final int NO_GPU = 5;

  @TempDir private Path folder;

  @Test
  void aMissingPluginLibraryIsNamedWithItsRemedy() {
    CommandLineRun run =
        CommandLineRun.of("build", folder, "--plugin-library", folder.resolve("none.so"));

    assertThat(run.exitCode()).isEqualTo(NO_GPU);
    assertThat(run.err())
        .contains("there is no plugin library " + folder.resolve("none.so"))
        .contains("cmake --build build/cuda")
        .contains("--plugin-library or SPARSEDIT_PLUGINS");
  }

  @Test
  void aPluginLibraryThatDoesNotLoadIsNamed() throws IOException {
    Path library = Files.writeString(folder.resolve("text.so"), "no library");

    CommandLineRun run = CommandLineRun.of("build", folder, "--plugin-library", library);

    assertThat(run.exitCode()).isEqualTo(NO_GPU);
    assertThat(run.err())
        .contains("an engine cannot be built here: the plugin library does not load")
        .contains("without one the bundle runs in ONNX Runtime");
  }

  @Test
  void compilingForTensorRtLooksForTheGpuFirst() {
    Path bundle = folder.resolve("wan");

    CommandLineRun run =
        CommandLineRun.of(
            "compile",
            CommandLineRun.zoo("wan21_t2v-ts17-static"),
            "-o",
            bundle,
            "--target",
            "tensorrt",
            "--plugin-library",
            folder.resolve("none.so"));

    assertThat(run.exitCode()).isEqualTo(NO_GPU);
    assertThat(bundle).doesNotExist();
  }

  @Test
  void misspeltShapesAreAUsageErrorWithoutAGpuToo() {
    CommandLineRun run = CommandLineRun.of("build", folder, "--min-shapes", "x=1");

    assertThat(run.exitCode()).isEqualTo(USAGE);
    assertThat(run.err()).contains("--min-shapes must be NAME:1x2x3");
  }

  @Test
  void theModelForOtherProgramsNeedsNoGpu() {
    Path bundle = folder.resolve("wan");
    assertThat(
            CommandLineRun.of(
                    "compile",
                    CommandLineRun.zoo("wan21_t2v-ts17-external"),
                    "-o",
                    bundle,
                    "--dense-layers",
                    "none",
                    "--verify",
                    "none")
                .exitCode())
        .isZero();
    Path onnx = folder.resolve("other").resolve("wan.trt.onnx");

    CommandLineRun run = CommandLineRun.of("build", bundle, "--onnx", onnx);

    assertThat(run.err()).doesNotContain("sparsify-model:");
    assertThat(run.exitCode()).isZero();
    assertThat(run.out()).contains("Wrote wan.trt.onnx, model.onnx.data");
    assertThat(onnx.resolveSibling("model.onnx.data")).exists();
    Model model = OnnxReader.read(onnx);
    assertThat(model.functions()).isEmpty();
    assertThat(model.opset()).isLessThanOrEqualTo(20);
    assertThat(model.graph().nodes())
        .filteredOn(node -> node.opType().equals("BlockSparseAttention"))
        .isNotEmpty()
        .allSatisfy(
            node -> {
              assertThat(node.stringAttribute("plugin_namespace", "")).isEqualTo("sparsedit");
              assertThat(node.stringAttribute("plugin_version", "")).isEqualTo("1");
              assertThat(node.stringAttribute("layout", "")).isEqualTo("BSHD");
            });
  }
}
