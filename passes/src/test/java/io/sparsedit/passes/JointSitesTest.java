package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.passes.functions.BlockSparseAttention;
import io.sparsedit.passes.functions.FrameSink;
import io.sparsedit.passes.functions.Selection;
import io.sparsedit.passes.functions.TextPosition;
import io.sparsedit.passes.verify.VerificationReport;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Attention over video and text becomes sparse, and equals the export with everything kept. */
final class JointSitesTest {
  private static final ScheduleOptions REUSE =
      new ScheduleOptions(
          Optional.empty(),
          OptionalInt.empty(),
          Optional.empty(),
          OptionalInt.of(4),
          Optional.empty(),
          Optional.empty());

  @TempDir private static Path folder;

  @ParameterizedTest
  @CsvSource({
    "hunyuanvideo-ts17-static, LAST, true",
    // Two elements in the batch, with masks of different lengths.
    "hunyuanvideo-dynamo23-dynamic, LAST, true",
    "cogvideox_2b-ts17-static, FIRST, false",
    "cogvideox_5b-ts17-dynamic, FIRST, false",
    "flux-dynamo20-dynamic, FIRST, false"
  })
  void equalsTheExportWithEverythingKept(String graph, TextPosition position, boolean masked) {
    CompileOptions options =
        new CompileOptions(
            Svg2Settings.PUBLISHED, ZooInputs.video(graph), DenseLayers.PUBLISHED, true);
    Path model = ZooGraphs.weighted(graph, folder);
    Path bundle = folder.resolve(graph);
    CompileResult result =
        Pipeline.compile(
            model,
            bundle,
            options,
            new VerifyRequest(
                VerifyMode.FULL,
                Optional.of(ZooInputs.write(model, folder.resolve(graph + ".inputs"))),
                Optional.empty()),
            WeightFiles.Mode.LINK,
            "test",
            Progress.SILENT);

    assertThat(result.failures()).isEmpty();
    List<Site> joint =
        result.inspection().sites().stream().filter(s -> s.kind() == SiteKind.JOINT).toList();
    assertThat(joint).hasSize(2).allMatch(Site::sparsify);
    assertThat(joint).allMatch(site -> site.masked() == masked);
    assertThat(joint).allMatch(s -> s.tokens().textPosition().equals(Optional.of(position)));
    VerificationReport report = result.verification().orElseThrow();
    assertThat(report.mode()).isEqualTo(VerifyMode.FULL);
    assertThat(report.everythingKept()).allMatch(output -> output.error().isWithin(1e-5));
    assertThat(report.sites()).allMatch(site -> site.everythingKept().isWithin(1e-5));
    assertThat(report.sites()).allMatch(site -> site.density() < 0.99 && site.recall() > 0.7);

    // The text mask is a bias of the keys.
    Model compiled = OnnxReader.read(bundle.resolve("model.onnx"));
    List<Node> attentions =
        compiled.graph().nodeList().stream()
            .filter(node -> node.opType().equals(BlockSparseAttention.OP_TYPE))
            .toList();
    assertThat(attentions).hasSize(2).allMatch(node -> node.inputCount() == (masked ? 10 : 9));
  }

  private static Stream<Arguments> methods() {
    return Stream.of("hunyuanvideo-dynamo23-dynamic", "cogvideox_5b-ts17-dynamic")
        .flatMap(
            graph ->
                Stream.of(
                        new AdaSpaSettings(0.3f, 0.5f, 16, true),
                        new SvgSettings(
                            Optional.of(0.4f),
                            true,
                            32,
                            Optional.empty(),
                            Optional.of(FrameSink.CORRECTED),
                            16,
                            true),
                        new Svg2Settings(
                            new Selection.Budget(0.3f, Selection.Ranking.MASS_PER_TOKEN),
                            0,
                            Optional.empty(),
                            2,
                            10,
                            true))
                    .map(method -> Arguments.of(graph, method)));
  }

  /** Two elements in the batch, dynamic sizes, plans in state: every method. */
  @ParameterizedTest
  @MethodSource("methods")
  void everyMethodEqualsTheExportWithEverythingKept(String graph, MethodSettings method) {
    Path model = ZooGraphs.weighted(graph, folder);
    Path bundle = folder.resolve(graph + "." + method.method().label());
    CompileResult result =
        Pipeline.compile(
            model,
            bundle,
            new CompileOptions(method, Optional.empty(), DenseLayers.PUBLISHED, true)
                .withSchedule(REUSE),
            new VerifyRequest(
                VerifyMode.FULL,
                Optional.of(ZooInputs.write(model, folder.resolve(graph + ".inputs"))),
                Optional.empty()),
            WeightFiles.Mode.LINK,
            "test",
            Progress.SILENT);

    assertThat(result.failures()).isEmpty();
    VerificationReport report = result.verification().orElseThrow();
    assertThat(report.sites()).hasSize(2);
    assertThat(report.everythingKept()).allMatch(output -> output.error().isWithin(1e-5));
    assertThat(report.sites()).allMatch(site -> site.everythingKept().isWithin(1e-5));
    // Budgets: .4, .3 and a block or cluster of each row above it, of as few as 12 blocks.
    assertThat(report.sites()).allMatch(site -> site.density() < 0.55);
  }
}
