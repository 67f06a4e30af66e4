package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.passes.functions.SparseOps;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A model whose queries, keys and values are rounded to eight bits runs when it is compiled. */
final class HoldDequantisedTest {
  @TempDir private Path folder;

  private static Value rounded(SpelledGraph g, Value value) {
    Value scale = g.number(0.02);
    Value zero =
        g.graph.addConstant("zero", Tensor.raw(DataType.INT8, new long[0], ByteBuffer.allocate(1)));
    return g.op("DequantizeLinear", g.op("QuantizeLinear", value, scale, zero), scale, zero);
  }

  /** Each step reads the one before twice. */
  @Test
  @Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void doublingsEndAtOnce() {
    SpelledGraph graph =
        SpelledGraph.of(
            17,
            g -> {
              Value q = g.bhsd(g.tokens);
              for (int i = 0; i < 40; i++) {
                q = g.slice(g.concat(0, q, q), 0, 0, SpelledGraph.BATCH);
              }
              Value scores = g.scores(q, g.bhsd(g.tokens));
              return g.merged(g.op("MatMul", g.softmax(scores), g.bhsd(g.tokens)));
            });
    Compilation compilation = RecognisedModel.recognise(graph.model());
    new EmitSparseSites().run(compilation);
    compilation.graphChanged();

    assertThat(new HoldDequantised().run(compilation)).isZero();
  }

  @Test
  void isVerified() {
    SpelledGraph graph =
        SpelledGraph.of(
            17,
            g -> {
              Value k = rounded(g, g.transpose(rounded(g, g.bhsd(g.tokens)), 0, 1, 3, 2));
              Value s = g.op("Mul", g.op("MatMul", rounded(g, g.bhsd(g.tokens)), k), g.number(0.5));
              return g.merged(g.op("MatMul", g.softmax(s), rounded(g, g.bhsd(g.tokens))));
            });
    Path file = folder.resolve("rounded.onnx");
    OnnxWriter.write(graph.model(), file);

    CompileResult result =
        Pipeline.compile(
            file,
            folder.resolve("bundle"),
            CompileOptions.DEFAULT,
            new VerifyRequest(VerifyMode.FULL, Optional.empty(), Optional.empty()),
            WeightFiles.Mode.COPY,
            "test",
            Progress.SILENT);

    assertThat(result.failures()).isEmpty();
    Node attention =
        OnnxReader.read(folder.resolve("bundle").resolve("model.onnx")).graph().nodeList().stream()
            .filter(node -> node.domain().equals(SparseOps.DOMAIN))
            .reduce((first, last) -> last)
            .orElseThrow();
    assertThat(List.of(0, 1, 2))
        .allMatch(i -> attention.requiredInput(i).producer().orElseThrow().is("Max"));
  }
}
