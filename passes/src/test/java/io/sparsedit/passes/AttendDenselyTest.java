package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.legal.AttendDensely;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A compiled model made dense again is the model that was compiled. */
final class AttendDenselyTest {
  @TempDir private Path folder;

  /** Plain, with a mask on keys and text, with two elements a batch, with QK-norm fused. */
  @ParameterizedTest
  @CsvSource({
    "wan21_t2v-ts17-static, 2, false",
    "hunyuanvideo-ts17-static, 2, false",
    "cogvideox_5b-ts17-dynamic, 2, false",
    "wan21_t2v-ts17-static, 2, true"
  })
  void outputsAndInterfaceAreTheOriginals(String graph, int sites, boolean fused) {
    Path file = ZooGraphs.model(graph, folder);
    Pipeline.compile(
        file,
        folder.resolve("bundle"),
        CompileOptions.DEFAULT.withFusedQkNormRope(fused),
        new VerifyRequest(VerifyMode.NONE, Optional.empty(), Optional.empty()),
        WeightFiles.Mode.COPY,
        "test",
        Progress.SILENT);
    Model original = OnnxReader.read(file);
    Model dense = OnnxReader.read(folder.resolve("bundle").resolve("model.onnx"));

    assertThat(AttendDensely.in(dense)).isEqualTo(sites);

    assertThat(GraphVerifier.problems(dense)).isEmpty();
    assertThat(dense.graph().inputs())
        .extracting(Value::name)
        .containsExactlyElementsOf(original.graph().inputs().stream().map(Value::name).toList());
    assertThat(dense.graph().nodeList())
        .noneMatch(node -> node.opType().endsWith("Plan") || node.opType().startsWith("Block"));
    Map<String, Tensor> inputs = ZooInputs.of(original, 1);
    Map<String, Tensor> wanted = OrtRunner.run(original, inputs);
    Map<String, Tensor> given = OrtRunner.run(dense, inputs);
    assertThat(given.keySet()).isEqualTo(wanted.keySet());
    wanted.forEach(
        (name, tensor) ->
            assertThat(Objects.requireNonNull(given.get(name)).doubles().orElseThrow())
                .containsExactly(tensor.doubles().orElseThrow(), within(2e-5)));
  }
}
