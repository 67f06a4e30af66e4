package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.passes.verify.VerificationReport;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Every graph with self-attention compiles, and equals the export with everything kept. */
final class SelfSitesTest {
  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"wan21_t2v-ts17-fusedqkv", "cosmos-dynamo23-static", "ltx-ts17-static"})
  void equalsTheExportWithEverythingKept(String graph) {
    check(graph);
  }

  @ParameterizedTest
  @Tag("slow")
  @ValueSource(
      strings = {
        "wan21_t2v-ts17-static",
        "wan21_t2v-ts17-external",
        "wan21_t2v-ts17-eager",
        "wan21_t2v-ts17-fp16",
        "wan21_t2v-dynamo18-static",
        "wan21_t2v-dynamo23-dynamic",
        "cosmos-ts17-static",
        "ltx-dynamo18-static",
        "pixart_sigma-ts17-legacyattn",
        "pixart_sigma-dynamo23-static"
      })
  void equalsTheExportWithEverythingKeptToo(String graph) {
    check(graph);
  }

  private void check(String graph) {
    Path model = ZooGraphs.model(graph, folder);
    CompileResult result =
        Pipeline.compile(
            model,
            folder.resolve(graph + ".sparse"),
            new CompileOptions(
                Svg2Settings.PUBLISHED, ZooInputs.video(graph), DenseLayers.PUBLISHED, true),
            new VerifyRequest(
                VerifyMode.FULL,
                Optional.of(ZooInputs.write(model, folder.resolve(graph + ".inputs"))),
                Optional.empty()),
            WeightFiles.Mode.LINK,
            "test",
            Progress.SILENT);

    // In half precision the outputs of two blocks are some units in the last place apart.
    double tolerance = graph.endsWith("fp16") ? 5e-3 : 1e-5;
    assertThat(result.failures()).isEmpty();
    assertThat(result.inspection().sites())
        .filteredOn(site -> site.kind() == SiteKind.SELF)
        .isNotEmpty()
        .allMatch(Site::sparsify);
    VerificationReport report = result.verification().orElseThrow();
    assertThat(report.everythingKept()).allMatch(output -> output.error().isWithin(tolerance));
    assertThat(report.sites()).allMatch(site -> site.everythingKept().isWithin(tolerance));
  }
}
