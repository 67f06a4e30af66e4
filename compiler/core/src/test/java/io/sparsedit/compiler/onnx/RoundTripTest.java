package io.sparsedit.compiler.onnx;

import static org.assertj.core.api.Assertions.assertThat;

import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import io.sparsedit.compiler.TestData;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.ModelCopy;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Reading and writing a model that nobody touched loses nothing; edits are written. */
class RoundTripTest {
  static List<Path> zoo() {
    return TestData.zoo();
  }

  @ParameterizedTest
  @MethodSource("zoo")
  void aRealExportComesBackEqual(Path file, @TempDir Path folder) throws IOException {
    Path written = folder.resolve("again.onnx");

    OnnxWriter.write(OnnxReader.read(file), written);

    ModelProto original = ModelProto.parseFrom(Files.readAllBytes(file));
    assertThat(ModelProto.parseFrom(Files.readAllBytes(written)).equals(original)).isTrue();
  }

  @ParameterizedTest
  @MethodSource("zoo")
  void aCopyOfARealExportIsWrittenEqual(Path file) throws IOException {
    Model copy = ModelCopy.of(OnnxReader.read(file));

    ModelProto original = ModelProto.parseFrom(Files.readAllBytes(file));
    assertThat(ModelProto.parseFrom(OnnxWriter.toBytes(copy)).equals(original)).isTrue();
  }

  @Test
  void everyKnownAndUnknownFieldComesBackEqual() throws IOException {
    ModelProto original = Protos.everything().build();
    Model model = OnnxReader.fromBytes(original.toByteArray(), "everything");

    assertThat(ModelProto.parseFrom(OnnxWriter.toBytes(model))).isEqualTo(original);
    assertThat(ModelProto.parseFrom(OnnxWriter.toBytes(ModelCopy.of(model)))).isEqualTo(original);
  }

  @Test
  void theElementsOfTypedFieldsAreRead() {
    Graph graph = OnnxReader.fromBytes(Protos.everything().build().toByteArray(), "m").graph();

    assertThat(longs(graph, "longs")).containsExactly(-1, Long.MAX_VALUE, 0);
    assertThat(longs(graph, "u32")).containsExactly(0xffffffffL);
    assertThat(longs(graph, "ints")).containsExactly(-5, 5);
    assertThat(longs(graph, "bytes")).containsExactly(-128, 127);
    assertThat(longs(graph, "ubytes")).containsExactly(255);
    assertThat(longs(graph, "flags")).containsExactly(1, 0);
    assertThat(doubles(graph, "halfs")).containsExactly(1, -1);
    assertThat(doubles(graph, "signed_halfs")).containsExactly(-1);
    assertThat(doubles(graph, "brain")).containsExactly(1);
    assertThat(doubles(graph, "doubles")).containsExactly(Math.PI);
    assertThat(doubles(graph, "with_default")).containsExactly(1, 2);
    assertThat(doubles(graph, "none")).isEmpty();
  }

  @Test
  void subgraphsReadTheValuesOfTheEnclosingGraph() {
    Graph graph = OnnxReader.fromBytes(Protos.everything().build().toByteArray(), "m").graph();
    Value sum = graph.value("sum").orElseThrow();
    Node choice = graph.nodeList().stream().filter(n -> n.is("If")).findFirst().orElseThrow();
    Graph thenBranch = choice.subgraphs().get(0);
    Graph elseBranch = choice.subgraphs().get(1);

    assertThat(thenBranch.nodeList().get(0).requiredInput(0)).isSameAs(sum);
    assertThat(elseBranch.outputs()).containsExactly(sum);
    assertThat(sum.isGraphOutput()).isTrue();
    assertThat(sum.uses()).extracting(use -> use.node().opType()).contains("Neg", "Clip");
  }

  @Test
  void whatAPassChangesIsWrittenAlthoughTheOriginalSpellingWasKept() throws IOException {
    Model model = OnnxReader.fromBytes(Protos.everything().build().toByteArray(), "m");
    Graph graph = model.graph();
    model.opsets().put("sparsedit", 1L);
    graph.metadata().put("k", "3");
    graph.value("symbolic").orElseThrow().setType(ValueType.TensorType.of(DataType.FLOAT, 7));
    Node custom = graph.value("custom").orElseThrow().producer().orElseThrow();
    custom.setAttribute("i", 6);
    custom.setAttribute("zero", 1);
    model.functions().get(0).attributeDefaults().remove("table");
    graph.value("clipped").orElseThrow().rename("renamed");

    ModelProto written = ModelProto.parseFrom(OnnxWriter.toBytes(model));

    assertThat(written.getOpsetImportList())
        .extracting(id -> id.getDomain() + " " + id.getVersion())
        .containsExactly(" 18", "local 1", "other.vendor 1", "sparsedit 1");
    assertThat(written.getGraph().getMetadataPropsList()).containsExactly(Protos.entry("k", "3"));
    assertThat(written.getGraph().getInput(2).getType())
        .isEqualTo(Protos.value("", DataType.FLOAT, 7).getType());
    NodeProto node = written.getGraph().getNode(5);
    assertThat(node.getAttribute(0).getI()).isEqualTo(6);
    assertThat(node.getAttribute(1).getI()).isEqualTo(1);
    assertThat(written.getFunctions(0).getAttributeProtoCount()).isEqualTo(1);
    assertThat(written.getGraph().getValueInfoList())
        .extracting(info -> info.getName())
        .contains("renamed", "of_nothing")
        .doesNotContain("clipped");
  }

  @Test
  void theDeclarationOfARemovedValueGoesWithIt() throws IOException {
    Model model = OnnxReader.fromBytes(Protos.everything().build().toByteArray(), "m");
    Graph graph = model.graph();
    graph.setOutput(0, graph.inputs().get(0));
    graph.setOutput(2, graph.inputs().get(0));
    graph.removeDeadNodes();

    ModelProto written = ModelProto.parseFrom(OnnxWriter.toBytes(model));

    assertThat(written.getGraph().getNodeCount()).isZero();
    assertThat(written.getGraph().getValueInfoList())
        .extracting(info -> info.getName())
        .doesNotContain("clipped", "sum");
    assertThat(OnnxReader.fromBytes(OnnxWriter.toBytes(model), "again").graph().outputs())
        .hasSize(3);
  }

  private static long[] longs(Graph graph, String name) {
    return graph.value(name).orElseThrow().constant().orElseThrow().longs().orElseThrow();
  }

  private static double[] doubles(Graph graph, String name) {
    return graph.value(name).orElseThrow().constant().orElseThrow().doubles().orElseThrow();
  }
}
