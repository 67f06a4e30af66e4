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
  void whatIsNoBundleIsNamedBeforeTheGpuThatIsMissing() {
    CommandLineRun run = CommandLineRun.of("build", folder.resolve("nowhere"));

    assertThat(run.exitCode()).isEqualTo(1);
    assertThat(run.err())
        .contains(folder.resolve("nowhere") + " is not a bundle: it has no bundle.json")
        .contains("sparsify-model compile");
  }

  @Test
  void aMissingPluginLibraryIsNamedWithItsRemedy() throws IOException {
    Files.writeString(folder.resolve("bundle.json"), "{}");
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
    Files.writeString(folder.resolve("bundle.json"), "{}");

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
  void numbersThatMeanNothingAreUsageErrorsWithoutAGpuToo() {
    for (String[] wrong :
        new String[][] {
          {"--optimization-level", "6"},
          {"--max-aux-streams", "-2"},
          {"--max-engine-error", "-1"},
          {"--max-engine-error", "NaN"}
        }) {
      CommandLineRun run = CommandLineRun.of("build", folder, wrong[0], wrong[1]);
      assertThat(run.exitCode()).as(wrong[0]).isEqualTo(USAGE);
      assertThat(run.err()).contains(wrong[0] + " must be 0");
    }
    CommandLineRun run =
        CommandLineRun.of("build", folder, "--layer-info", folder.resolve("none").resolve("x"));
    assertThat(run.exitCode()).isEqualTo(USAGE);
    assertThat(run.err()).contains("is no file in an existing folder");
  }

  /** No GPU is asked for, and so by default nothing is known to be faster. */
  @Test
  void denseAttentionCallsThePluginWhereThatIsAskedFor() {
    Path bundle = compiled("hunyuanvideo-ts17-static", "0");
    Path onnx = folder.resolve("hunyuan.trt.onnx");

    CommandLineRun usual = CommandLineRun.of("build", bundle, "--onnx", onnx);

    assertThat(usual.exitCode()).isZero();
    assertThat(usual.out()).doesNotContain("by SparseDiT's kernel");
    assertThat(attentionPlugins(onnx)).isEqualTo(1);

    CommandLineRun run =
        CommandLineRun.of("build", bundle, "--onnx", onnx, "--dense-attention", "plugin");

    assertThat(run.exitCode()).isZero();
    assertThat(run.out())
        .contains("dense, by SparseDiT's kernel: ", "/transformer_blocks.0/attn/MatMul_1");
    assertThat(attentionPlugins(onnx)).isEqualTo(2);

    CommandLineRun dense =
        CommandLineRun.of(
            "build", bundle, "--onnx", onnx, "--dense", "--dense-attention", "plugin");

    assertThat(dense.exitCode()).isZero();
    assertThat(attentionPlugins(onnx)).isZero();
  }

  private static long attentionPlugins(Path onnx) {
    return OnnxReader.read(onnx).graph().nodeList().stream()
        .filter(node -> node.opType().equals("BlockSparseAttention"))
        .count();
  }

  @Test
  void trtexecIsToldTheShapesOfTheStateToo() {
    Path bundle = compiled("wan21_t2v-dynamo23-dynamic");
    Path onnx = folder.resolve("wan.trt.onnx");

    CommandLineRun open = CommandLineRun.of("build", bundle, "--onnx", onnx);

    assertThat(open.exitCode()).isZero();
    assertThat(open.out())
        .contains("Of dynamic shape: hidden_states [s47, 4, s33, s20, s66], encoder_hidden_states")
        .doesNotContain("state.s0");

    String shapes = "hidden_states:1x4x3x16x12,encoder_hidden_states:1x24x32";
    CommandLineRun run =
        CommandLineRun.of(
            "build",
            bundle,
            "--onnx",
            onnx,
            "--min-shapes",
            shapes,
            "--opt-shapes",
            shapes,
            "--max-shapes",
            shapes.replace(":1x", ":2x"));

    assertThat(run.exitCode()).isZero();
    assertThat(run.out())
        .containsPattern("--minShapes=\\S*hidden_states:1x4x3x16x12,\\S*state.s0.k_centroids:1x2x")
        .containsPattern("--optShapes=\\S*timestep:1\\b")
        .containsPattern("--maxShapes=\\S*state.s1.q_centroids:2x2x\\S*timestep:2\\b");
  }

  /** One command line each of trtexec's and of Polygraphy's, with our command's name before it. */
  @Test
  void shapesCanBeGivenAsToTrtexecAndToPolygraphy() {
    Path bundle = compiled("wan21_t2v-dynamo23-dynamic");
    Path onnx = folder.resolve("wan.trt.onnx");
    String small = "hidden_states:1x4x3x16x12,encoder_hidden_states:1x24x32";
    String large = "hidden_states:2x4x3x16x12,encoder_hidden_states:2x24x32";

    CommandLineRun trtexec =
        CommandLineRun.of(
            "build",
            "--onnx=" + onnx,
            "--minShapes=" + small,
            "--optShapes=" + small,
            "--maxShapes=" + large,
            bundle);
    assertThat(trtexec.exitCode()).as(trtexec.err()).isZero();
    assertThat(trtexec.out()).containsPattern("--maxShapes=\\S*state.s1.q_centroids:2x2x");

    CommandLineRun polygraphy =
        CommandLineRun.of(
            "build",
            "--trt-min-shapes",
            "hidden_states:[1,4,3,16,12]",
            "encoder_hidden_states:[1,24,32]",
            "--trt-opt-shapes",
            "hidden_states:[1,4,3,16,12]",
            "encoder_hidden_states:[1,24,32]",
            "--trt-max-shapes",
            "hidden_states:[2,4,3,16,12],",
            "encoder_hidden_states:[2,24,32]",
            bundle,
            "--onnx",
            onnx);
    assertThat(polygraphy.exitCode()).as(polygraphy.err()).isZero();
    assertThat(polygraphy.out()).isEqualTo(trtexec.out());

    CommandLineRun nothing = CommandLineRun.of("build", bundle, "--onnx", onnx, "--min-shapes");
    assertThat(nothing.exitCode()).isEqualTo(USAGE);
    assertThat(nothing.err()).contains("'--min-shapes' needs shapes behind it");
  }

  @Test
  void whatIsThereAlreadyIsNotOverwritten() throws IOException {
    Path bundle = compiled("wan21_t2v-ts17-external");
    byte[] model = Files.readAllBytes(bundle.resolve("model.onnx"));

    CommandLineRun inside =
        CommandLineRun.of("build", bundle, "--onnx", bundle.resolve("model.onnx"));

    assertThat(inside.exitCode()).isEqualTo(USAGE);
    assertThat(inside.err()).contains("the bundle's folder is for the bundle alone");
    assertThat(bundle.resolve("model.onnx")).hasBinaryContent(model);

    Path others = Files.createDirectory(folder.resolve("others"));
    Files.writeString(others.resolve("model.onnx.data"), "another model's weights");

    CommandLineRun beside = CommandLineRun.of("build", bundle, "--onnx", others.resolve("a.onnx"));

    assertThat(beside.exitCode()).isEqualTo(1);
    assertThat(beside.err())
        .contains(others.resolve("model.onnx.data") + " is not the weights of " + bundle);
    assertThat(others).isDirectoryContaining("glob:**model.onnx.data");
    assertThat(others.resolve("model.onnx.data")).hasContent("another model's weights");
    assertThat(others.resolve("a.onnx")).doesNotExist();
  }

  @Test
  void onnxAndTritonExcludeEachOther() {
    CommandLineRun run =
        CommandLineRun.of("build", folder, "--onnx", folder.resolve("x"), "--triton", folder);
    assertThat(run.exitCode()).isEqualTo(USAGE);
    assertThat(run.err()).contains("--onnx builds no engine that --triton could serve");
  }

  private Path compiled(String graph) {
    return compiled(graph, "none");
  }

  private Path compiled(String graph, String denseLayers) {
    Path bundle = folder.resolve("bundle");
    CommandLineRun run =
        CommandLineRun.of(
            "compile",
            CommandLineRun.zoo(graph),
            "-o",
            bundle,
            "--dense-layers",
            denseLayers,
            "--verify",
            "none");
    assertThat(run.exitCode()).as(run.err()).isZero();
    return bundle;
  }

  @Test
  void theModelForOtherProgramsNeedsNoGpu() {
    Path bundle = compiled("wan21_t2v-ts17-external");
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
