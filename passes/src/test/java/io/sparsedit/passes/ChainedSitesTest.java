package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.passes.functions.BlockSparseAttention;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Sites of which one reads what the other computes, with nothing between them. */
final class ChainedSitesTest {
  private static final int SITES = 4;

  @TempDir private Path folder;

  /** Each sparse site reads the sparse one before it: nothing of its dense attention is left. */
  @ParameterizedTest
  @CsvSource({"none, 4, 0", "0, 3, 1", "1, 3, 1", "3, 3, 1", "0-2, 1, 3"})
  void aSiteReadsWhatStandsForTheOneBeforeIt(String denseLayers, int sparse, int dense) {
    CompileResult result =
        Pipeline.compile(
            chain(),
            folder.resolve("out"),
            new CompileOptions(
                Svg2Settings.DEFAULT,
                Optional.of(VideoGeometry.parse("4x2x2")),
                DenseLayers.parse(denseLayers),
                true),
            new VerifyRequest(VerifyMode.FULL, Optional.empty(), Optional.empty()),
            WeightFiles.Mode.LINK,
            "test",
            Progress.SILENT);

    assertThat(result.verification().orElseThrow().failures()).isEmpty();
    List<Node> nodes = OnnxReader.read(folder.resolve("out/model.onnx")).graph().nodeList();
    assertThat(nodes)
        .filteredOn(node -> node.opType().equals(BlockSparseAttention.OP_TYPE))
        .hasSize(sparse);
    assertThat(nodes).filteredOn(node -> node.is("Softmax")).hasSize(dense);
  }

  private Path chain() {
    Graph graph = Graph.create("chain");
    ValueType type = ValueType.TensorType.of(DataType.FLOAT, 1, 2, 16, 8);
    Value x = graph.append("Neg", graph.addInput("video", type));
    for (int i = 0; i < SITES; i++) {
      Value kt = graph.append("Transpose", x);
      kt.producer()
          .orElseThrow()
          .setAttribute("perm", new Attribute.IntList(List.of(0L, 1L, 3L, 2L)));
      x = graph.append("MatMul", graph.append("Softmax", graph.append("MatMul", x, kt)), x);
    }
    x.setType(type);
    graph.addOutput(x);
    Model model = new Model(graph, 8);
    model.opsets().put("", 17L);
    Path file = folder.resolve("chain.onnx");
    OnnxWriter.write(model, file);
    return file;
  }
}
