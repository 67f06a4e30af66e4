package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.passes.verify.ErrorMetrics;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Sites whose text tokens a NonZero selects, as in Mochi. */
final class MakeRoomForSelectedTokensTest {
  private static final int TOKENS = 2;

  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"11111", "11000", "01101", "00000"})
  void equalsTheExportWhateverTheMaskSelects(String selected) {
    SpelledGraph graph = graph(bools(selected), true);
    Path file = folder.resolve("selected.onnx");
    OnnxWriter.write(graph.model(), file);
    double[] dense = output(OrtRunner.run(OnnxReader.read(file), graph.inputs()));

    Model compiled = compile(file);

    double[] sparse = output(OrtRunner.run(compiled, FirstStep.of(compiled, graph.inputs())));
    assertThat(ErrorMetrics.of(sparse, dense).normalizedMax()).isLessThan(1e-5);
  }

  @Test
  void whatIsNotFilledUpStaysDense() {
    Path file = folder.resolve("open.onnx");
    OnnxWriter.write(graph(bools("11010"), false).model(), file);

    Inspection found = Pipeline.inspect(file, CompileOptions.DEFAULT, Progress.SILENT);

    assertThat(found.sites()).hasSize(1);
    assertThat(found.sites().get(0).reason())
        .contains("the number of its tokens")
        .contains("does not follow from the inputs' shapes");
  }

  /** Whatever stands behind the selected tokens, or turns them round, is no room at the end. */
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void indicesThatAreMovedStayDense(boolean turned) {
    SpelledGraph graph =
        SpelledGraph.of(
            18,
            g -> {
              Value found = g.op("NonZero", g.input("mask", DataType.BOOL, bools("01101")));
              Value selected = g.op("Squeeze", found, g.longs(0));
              Value indices =
                  turned
                      ? g.op("Slice", selected, g.longs(-1), g.longs(-9), g.longs(0), g.longs(-1))
                      : g.concat(0, selected, g.longs(3));
              Value q = joined(g, indices);
              Value k = joined(g, indices);
              Value v = joined(g, indices);
              Value result = g.op("MatMul", g.softmax(g.scores(q, k)), v);
              return filledUp(g, result, turned ? 0 : 1);
            });
    Path file = folder.resolve("moved.onnx");
    OnnxWriter.write(graph.model(), file);

    Inspection inspection = Pipeline.inspect(file, CompileOptions.DEFAULT, Progress.SILENT);

    assertThat(inspection.sites()).hasSize(1).noneMatch(Site::sparsify);
  }

  /** The model with every key kept. */
  private Model compile(Path file) {
    CompileOptions options =
        new CompileOptions(
            new AdaSpaSettings(1f, 1f, 4, false), Optional.empty(), DenseLayers.PUBLISHED, true);
    Path bundle = folder.resolve("bundle");
    CompileResult result =
        Pipeline.compile(
            file,
            bundle,
            options,
            new VerifyRequest(VerifyMode.NONE, Optional.empty(), Optional.empty()),
            WeightFiles.Mode.LINK,
            "test",
            Progress.SILENT);
    assertThat(result.inspection().sites()).hasSize(1).allMatch(Site::sparsify);
    return OnnxReader.read(bundle.resolve("model.onnx"));
  }

  /** The result reads a video token and a text token each, so that order and filling count. */
  private static SpelledGraph graph(Tensor mask, boolean filled) {
    return SpelledGraph.of(
        18,
        g -> {
          Value found = g.op("NonZero", g.input("mask", DataType.BOOL, mask));
          Value indices = g.op("Squeeze", found, g.longs(0));
          Value q = joined(g, indices);
          Value k = joined(g, indices);
          Value v = joined(g, indices);
          Value result = g.op("MatMul", g.softmax(g.scores(q, k)), v);
          if (!filled) {
            return g.merged(g.slice(result, TOKENS, 0, SpelledGraph.VIDEO));
          }
          return filledUp(g, result, 0);
        });
  }

  private static Value filledUp(SpelledGraph g, Value result, int more) {
    Value count = g.slice(g.op("Shape", result), 0, TOKENS, TOKENS + 1);
    Value missing = g.op("Sub", g.longs(SpelledGraph.VIDEO + SpelledGraph.TEXT + more), count);
    Value sizes = g.concat(0, g.longs(0, 0, 0, 0, 0, 0), missing, g.longs(0));
    Value full = g.op("Pad", result, sizes);
    Value video = g.slice(full, TOKENS, 0, SpelledGraph.VIDEO);
    Value text = g.slice(full, TOKENS, SpelledGraph.VIDEO + 1, SpelledGraph.VIDEO + 2);
    return g.merged(g.op("Add", video, text));
  }

  private static Value joined(SpelledGraph g, Value indices) {
    Value text = g.node("Gather", List.of(g.bhsd(g.text), indices), "axis", TOKENS);
    return g.concat(TOKENS, g.bhsd(g.tokens), text);
  }

  private static Tensor bools(String elements) {
    byte[] bytes = new byte[elements.length()];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) (elements.charAt(i) - '0');
    }
    return Tensor.raw(DataType.BOOL, new long[] {bytes.length}, ByteBuffer.wrap(bytes));
  }

  private static double[] output(Map<String, Tensor> outputs) {
    return outputs.values().iterator().next().doubles().orElseThrow();
  }
}
