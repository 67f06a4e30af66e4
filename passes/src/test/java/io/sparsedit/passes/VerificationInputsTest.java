package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.TensorFiles;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.passes.verify.VerificationReport;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A graph that calls its sizes dynamic, and holds the traced ones in a constant. */
final class VerificationInputsTest {
  private static final String GRAPH = "wan21_t2v-ts17-eager";

  @TempDir private static Path folder;

  private static VerificationReport verify(String bundle, Optional<Path> inputs) {
    CompileOptions options =
        new CompileOptions(
            new AdaSpaSettings(.3f, .8f, 16, false), Optional.empty(), DenseLayers.PUBLISHED, true);
    return Pipeline.compile(
            ZooGraphs.model(GRAPH, folder),
            folder.resolve(bundle),
            options,
            new VerifyRequest(VerifyMode.FULL, inputs, Optional.empty()),
            WeightFiles.Mode.LINK,
            "test",
            Progress.SILENT)
        .verification()
        .orElseThrow();
  }

  @Test
  void sitesAreCheckedAloneWhereRandomInputsDoNotFit() {
    VerificationReport report = verify("random", Optional.empty());
    assertThat(report.mode()).isEqualTo(VerifyMode.SITES);
    assertThat(report.note())
        .startsWith("the original does not run on random inputs of the sizes {")
        .contains("/blocks.0/attn1/Expand", "--inputs DIR");
    assertThat(report.sites()).isNotEmpty();
    assertThat(report.sites()).allMatch(site -> site.everythingKept().isWithin(1e-5));
  }

  @Test
  void itIsVerifiedAsAWholeOnInputsThatFit() {
    Path inputs = ZooInputs.write(ZooGraphs.model(GRAPH, folder), folder.resolve("inputs"));
    assertThat(verify("whole", Optional.of(inputs)).mode()).isEqualTo(VerifyMode.FULL);
  }

  @Test
  void inputsOfTheUserThatDoNotFitAreAnError() {
    Path model = ZooGraphs.model(GRAPH, folder);
    Path inputs = ZooInputs.write(model, folder.resolve("wrong"));
    String video = OnnxReader.read(model).graph().inputs().get(0).name();
    TensorFiles.write(
        Tensor.ofFloats(new long[] {2, 4, 1, 16, 12}, new float[1536]),
        inputs.resolve(video + ".pb"));
    assertThatThrownBy(() -> verify("wrong-bundle", Optional.of(inputs)))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("ONNX Runtime cannot run the model");
  }
}
