package io.sparsedit.compiler.ort;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.TestData;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.TensorFiles;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class OrtRunnerTest {
  static List<Path> zoo() {
    return TestData.zoo();
  }

  @ParameterizedTest
  @MethodSource("zoo")
  void aWrittenModelComputesWhatTheExportedOneDid(Path file) {
    Model model = OnnxReader.read(file);
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    int i = 0;
    for (Value input : model.graph().inputs()) {
      inputs.put(
          input.name(), TensorFiles.read(file.resolveSibling("inputs/input_" + i++ + ".pb")));
    }

    Map<String, Tensor> outputs = OrtRunner.run(model, inputs);

    List<Tensor> results = new ArrayList<>(outputs.values());
    for (int k = 0; k < results.size(); k++) {
      Tensor expected = TensorFiles.read(file.resolveSibling("outputs/output_" + k + ".pb"));
      assertThat(results.get(k).type()).isEqualTo(expected.type());
      assertThat(results.get(k).dims()).isEqualTo(expected.dims());
      assertThat(maxError(results.get(k), expected)).isLessThan(1e-4);
    }
  }

  private static double maxError(Tensor actual, Tensor expected) {
    double[] a = actual.doubles().orElseThrow();
    double[] e = expected.doubles().orElseThrow();
    double error = 0;
    double magnitude = 1;
    for (int i = 0; i < a.length; i++) {
      error = Math.max(error, Math.abs(a[i] - e[i]));
      magnitude = Math.max(magnitude, Math.abs(e[i]));
    }
    return error / magnitude;
  }
}
