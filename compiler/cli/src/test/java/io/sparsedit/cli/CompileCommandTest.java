package io.sparsedit.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparsedit.compiler.onnx.OnnxReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class CompileCommandTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {"wan21_t2v-ts17-static", "wan21_t2v-ts17-external", "wan21_t2v-dynamo18-static"})
  void compilesAndVerifies(String graph) throws IOException {
    Path bundle = folder.resolve("wan");

    CommandLineRun compiled = CommandLineRun.of("compile", CommandLineRun.zoo(graph), "-o", bundle);

    assertThat(compiled.exitCode()).as(compiled.err()).isZero();
    assertThat(compiled.out())
        .contains("With everything kept the result equals the dense model")
        .contains("Bundle " + bundle);
    JsonNode report = JSON.readTree(bundle.resolve("report.json").toFile());
    assertThat(report.path("verification").path("passed").asBoolean()).isTrue();
    assertThat(report.path("verification").path("sites")).hasSize(2);
    assertThat(Files.readString(bundle.resolve("report.html"))).contains("<svg");

    CommandLineRun verified =
        CommandLineRun.of("verify", bundle, CommandLineRun.zoo(graph), "--json");

    assertThat(verified.exitCode()).as(verified.err()).isZero();
    JsonNode again = JSON.readTree(verified.out());
    assertThat(again).isEqualTo(report.path("verification"));
  }

  @Test
  void acceptsTheModelWithoutACommandName() {
    CommandLineRun run =
        CommandLineRun.of(
            CommandLineRun.zoo("wan21_t2v-ts17-static"), "-o", folder.resolve("wan"), "--quiet");

    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out()).isEmpty();
    assertThat(run.err()).isEmpty();
    assertThat(folder.resolve("wan/bundle.json")).exists();
  }

  @Test
  void recordedInputsVerifyTheWholeModel() {
    CommandLineRun run =
        CommandLineRun.of(
            "compile",
            CommandLineRun.zoo("wan21_t2v-ts17-static"),
            "-o",
            folder.resolve("wan"),
            "--inputs",
            CommandLineRun.ZOO.resolve("wan21_t2v-ts17-static").resolve("inputs"));

    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out()).contains("whole models on the inputs in");
  }

  @Test
  void qkNormAndRopeBecomeOneNodeUnlessTheyMustNot() {
    assertThat(fusedNodes()).isEqualTo(2);
    assertThat(fusedNodes("--fuse-qk-norm-rope")).isEqualTo(2);
    assertThat(fusedNodes("--no-fuse-qk-norm-rope")).isZero();
  }

  /** How many of a compiled model's nodes call QkNormRope. */
  private long fusedNodes(String... options) {
    Path bundle = folder.resolve("fused" + options.length);
    List<Object> arguments = new ArrayList<>(List.of("compile", "-o", bundle, "--verify", "none"));
    arguments.add(CommandLineRun.zoo("wan21_t2v-dynamo18-static"));
    arguments.addAll(List.of(options));
    CommandLineRun run = CommandLineRun.of(arguments.toArray());
    assertThat(run.exitCode()).as(run.err()).isZero();
    return OnnxReader.read(bundle.resolve("model.onnx")).graph().nodeList().stream()
        .filter(node -> node.domain().equals("sparsedit") && node.opType().equals("QkNormRope"))
        .count();
  }

  @Test
  void replacesAnEarlierBundleButNothingElse() throws IOException {
    Path model = CommandLineRun.zoo("wan21_t2v-ts17-static");
    Path bundle = folder.resolve("wan");
    CommandLineRun.of("compile", model, "-o", bundle, "--verify", "none");
    String first = Files.readString(bundle.resolve("bundle.json"));

    CommandLineRun second =
        CommandLineRun.of("compile", model, "-o", bundle, "--verify", "none", "--top-p", "0.5");

    assertThat(second.exitCode()).as(second.err()).isZero();
    assertThat(Files.readString(bundle.resolve("bundle.json"))).isNotEqualTo(first);
    assertThat(names(folder)).containsExactly("wan");

    Files.writeString(bundle.resolve("notes.txt"), "mine");
    CommandLineRun third = CommandLineRun.of("compile", model, "-o", bundle);

    assertThat(third.exitCode()).isEqualTo(1);
    assertThat(third.err()).contains("notes.txt").contains(bundle.toString());
    assertThat(bundle.resolve("notes.txt")).hasContent("mine");
    assertThat(names(folder)).containsExactly("wan");
  }

  @Test
  void linksOrCopiesExternalWeights() throws IOException {
    Path model = CommandLineRun.zoo("wan21_t2v-ts17-external");
    for (String how : List.of("link", "copy")) {
      Path bundle = folder.resolve(how);

      CommandLineRun run =
          CommandLineRun.of("compile", model, "-o", bundle, "--weights", how, "--verify", "none");

      assertThat(run.exitCode()).as(run.err()).isZero();
      assertThat(bundle.resolve("model.onnx.data"))
          .hasSameBinaryContentAs(model.resolveSibling("model.onnx.data"));
    }
  }

  @Test
  void maxErrorFailsTheVerificationAndWritesNothing() throws IOException {
    CommandLineRun run =
        CommandLineRun.of(
            "compile",
            CommandLineRun.zoo("wan21_t2v-ts17-static"),
            "-o",
            folder.resolve("wan"),
            "--top-p",
            "0.05",
            "--min-kept",
            "0",
            "--max-error",
            "1e-9");

    assertThat(run.exitCode()).isEqualTo(3);
    assertThat(run.err()).contains("--max-error").contains("no bundle written");
    assertThat(names(folder)).isEmpty();
  }

  @Test
  void denseLayersStayDense() throws IOException {
    Path bundle = folder.resolve("wan");

    CommandLineRun run =
        CommandLineRun.of(
            "compile",
            CommandLineRun.zoo("wan21_t2v-ts17-static"),
            "-o",
            bundle,
            "--dense-layers",
            "0",
            "--verify",
            "none");

    assertThat(run.exitCode()).as(run.err()).isZero();
    JsonNode description = JSON.readTree(bundle.resolve("bundle.json").toFile());
    assertThat(description.path("sites")).hasSize(1);
    assertThat(description.path("sites").path(0).path("id").asText()).isEqualTo("blocks.1.attn1");
    assertThat(description.path("denseSites").path(0).path("reason").asText())
        .contains("--dense-layers");
  }

  @Test
  void nothingLeftToMakeSparseIsExitCodeFour() throws IOException {
    CommandLineRun run =
        CommandLineRun.of(
            "compile",
            CommandLineRun.zoo("wan21_t2v-ts17-static"),
            "-o",
            folder.resolve("wan"),
            "--dense-layers",
            "0-1");

    assertThat(run.exitCode()).isEqualTo(4);
    assertThat(run.err()).contains("nothing to make sparse");
    assertThat(names(folder)).isEmpty();
  }

  @Test
  void verifyRefusesAnotherModel() {
    Path bundle = folder.resolve("wan");
    CommandLineRun.of(
        "compile", CommandLineRun.zoo("wan21_t2v-ts17-static"), "-o", bundle, "--verify", "none");

    CommandLineRun run =
        CommandLineRun.of("verify", bundle, CommandLineRun.zoo("wan21_t2v-dynamo18-static"));

    assertThat(run.exitCode()).isEqualTo(1);
    assertThat(run.err()).contains("another model").contains("SHA-256");
  }

  @Test
  void sitesAloneAreVerifiedOnPlantedStructure() throws IOException {
    CommandLineRun run =
        CommandLineRun.of(
            "compile",
            CommandLineRun.zoo("wan21_t2v-ts17-static"),
            "-o",
            folder.resolve("wan"),
            "--verify",
            "sites",
            "--clusters",
            "16,48");

    assertThat(run.exitCode()).as(run.err()).isZero();
    JsonNode report = JSON.readTree(folder.resolve("wan/report.json").toFile());
    JsonNode site = report.path("verification").path("sites").path(0);
    assertThat(report.path("verification").path("sites")).hasSize(1);
    assertThat(site.path("density").asDouble()).isLessThan(0.5);
    assertThat(site.path("recall").asDouble()).isGreaterThan(0.85);
  }

  @Test
  void maxErrorHoldsForSitesToo() {
    CommandLineRun run =
        CommandLineRun.of(
            "compile",
            CommandLineRun.zoo("wan21_t2v-ts17-static"),
            "-o",
            folder.resolve("wan"),
            "--verify",
            "sites",
            "--max-error",
            "1e-9");

    assertThat(run.exitCode()).isEqualTo(3);
    assertThat(run.err()).contains("site blocks.0.attn1").contains("--max-error");
  }

  @Test
  void optionsThatContradictEachOtherAreUsageErrors() {
    Path model = CommandLineRun.zoo("wan21_t2v-ts17-static");
    Path bundle = folder.resolve("wan");
    for (List<String> bad :
        List.of(
            List.of("--verify", "none", "--max-error", "0.1"),
            List.of("--verify", "sites", "--inputs", "somewhere"),
            List.of("--dense-layers", "2", "--verify", "none"))) {
      CommandLineRun run =
          CommandLineRun.of(
              "compile", model, "-o", bundle, bad.get(0), bad.get(1), bad.get(2), bad.get(3));

      assertThat(run.exitCode()).as(bad.toString()).isEqualTo(2);
    }
    assertThat(bundle).doesNotExist();
  }

  @Test
  void compiledModelIsNotCompiledAgain() {
    Path bundle = folder.resolve("wan");
    CommandLineRun.of(
        "compile", CommandLineRun.zoo("wan21_t2v-ts17-static"), "-o", bundle, "--verify", "none");

    CommandLineRun run =
        CommandLineRun.of("compile", bundle.resolve("model.onnx"), "-o", folder.resolve("twice"));

    assertThat(run.exitCode()).isEqualTo(1);
    assertThat(run.err()).contains("compiled model");
  }

  @Test
  void verifyNoticesThatTheBundleWasChanged() throws IOException {
    Path model = CommandLineRun.zoo("wan21_t2v-ts17-static");
    Path bundle = folder.resolve("wan");
    CommandLineRun.of("compile", model, "-o", bundle, "--verify", "none");
    Files.copy(
        model, bundle.resolve("model.onnx"), java.nio.file.StandardCopyOption.REPLACE_EXISTING);

    CommandLineRun run = CommandLineRun.of("verify", bundle, model);

    assertThat(run.exitCode()).isEqualTo(1);
    assertThat(run.err()).contains("was changed after the bundle was made");
  }

  @Test
  void replacesABundleBehindALinkAndSparesEmptyFolders() throws IOException {
    Path model = CommandLineRun.zoo("wan21_t2v-ts17-static");
    Path bundle = folder.resolve("wan");
    CommandLineRun.of("compile", model, "-o", bundle, "--verify", "none");
    Path link = Files.createSymbolicLink(folder.resolve("latest"), bundle);

    CommandLineRun replaced = CommandLineRun.of("compile", model, "-o", link, "--verify", "none");

    assertThat(replaced.exitCode()).as(replaced.err()).isZero();
    assertThat(link).isSymbolicLink();
    assertThat(names(folder)).containsExactly("latest", "wan");

    Files.createDirectory(bundle.resolve("mine"));
    CommandLineRun refused = CommandLineRun.of("compile", model, "-o", bundle, "--verify", "none");

    assertThat(refused.exitCode()).isEqualTo(1);
    assertThat(refused.err()).contains("mine");
  }

  private static List<String> names(Path folder) throws IOException {
    try (Stream<Path> children = Files.list(folder)) {
      return children.map(child -> child.getFileName().toString()).sorted().toList();
    }
  }
}
