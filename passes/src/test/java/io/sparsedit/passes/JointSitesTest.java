package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.passes.functions.BlockSparseAttention;
import io.sparsedit.passes.functions.TextPosition;
import io.sparsedit.passes.verify.VerificationReport;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Attention over video and text becomes sparse, and equals the export with everything kept. */
final class JointSitesTest {
  @TempDir private static Path folder;

  @ParameterizedTest
  @CsvSource({
    "hunyuanvideo-ts17-static, LAST, true",
    "hunyuanvideo-dynamo18-static, LAST, true",
    // Two elements in the batch, with masks of different lengths.
    "hunyuanvideo-dynamo23-dynamic, LAST, true",
    "cogvideox_2b-ts17-static, FIRST, false",
    "cogvideox_5b-ts17-dynamic, FIRST, false",
    "flux-ts17-static, FIRST, false",
    "flux-dynamo20-dynamic, FIRST, false"
  })
  void equalsTheExportWithEverythingKept(String graph, TextPosition position, boolean masked) {
    CompileOptions options =
        new CompileOptions(
            Svg2Settings.PUBLISHED, ZooInputs.video(graph), DenseLayers.PUBLISHED, true);
    Path model = ZooGraphs.model(graph, folder);
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
    assertThat(report.sites()).allMatch(site -> site.recall() > 0.8);

    // One bias serves all layers.
    Model compiled = OnnxReader.read(bundle.resolve("model.onnx"));
    List<Node> attentions =
        compiled.graph().nodeList().stream()
            .filter(node -> node.opType().equals(BlockSparseAttention.OP_TYPE))
            .toList();
    assertThat(attentions).hasSize(2).allMatch(node -> node.inputCount() == (masked ? 10 : 9));
  }
}
