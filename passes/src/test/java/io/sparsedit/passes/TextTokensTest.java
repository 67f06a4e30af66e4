package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.onnx.OnnxWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code --text} for a model whose one input holds text and video tokens. */
final class TextTokensTest {
  @TempDir private Path folder;
  private Path file;

  /** Attention of 30 tokens, [1,2,30,4], with themselves. */
  @BeforeEach
  void writeModel() {
    Graph graph = Graph.create("tokens");
    ValueType type = ValueType.TensorType.of(DataType.FLOAT, 1, 2, 30, 4);
    Value tokens = graph.addInput("tokens", ValueType.TensorType.of(DataType.FLOAT, 1, 30, 8));
    Value heads =
        graph.append("Reshape", tokens, graph.addConstant("split", Tensor.vector(1, 30, 2, 4)));
    Value x = transpose(graph, heads, 0, 2, 1, 3);
    Value scores = graph.append("MatMul", x, transpose(graph, x, 0, 1, 3, 2));
    Value out = graph.append("MatMul", graph.append("Softmax", scores), x);
    out.setType(type);
    Value merged =
        graph.append(
            "Reshape",
            transpose(graph, out, 0, 2, 1, 3),
            graph.addConstant("merge", Tensor.vector(1, 30, 8)));
    merged.rename("sample");
    merged.setType(ValueType.TensorType.of(DataType.FLOAT, 1, 30, 8));
    graph.addOutput(merged);
    Model model = new Model(graph, 8);
    model.opsets().put("", 17L);
    file = folder.resolve("tokens.onnx");
    OnnxWriter.write(model, file);
  }

  private static Value transpose(Graph graph, Value value, long... perm) {
    Node node = graph.addNode("", "Transpose", "", List.of(value));
    node.setAttribute("perm", new Attribute.IntList(Arrays.stream(perm).boxed().toList()));
    return node.addOutput(graph.freshName("t"));
  }

  private Site site(Optional<String> video, Optional<String> text) {
    CompileOptions options =
        new CompileOptions(
            Svg2Settings.PUBLISHED, video.map(VideoGeometry::parse), DenseLayers.PUBLISHED, true);
    Inspection inspection =
        Pipeline.inspect(
            file,
            text.map(TextTokens::parse).map(options::withText).orElse(options),
            Progress.SILENT);
    return inspection.sites().get(0);
  }

  @Test
  void withoutItAllTokensAreVideo() {
    assertThat(site(Optional.empty(), Optional.empty()).kind()).isEqualTo(SiteKind.SELF);
  }

  @Test
  void itMakesSelfAttentionJoint() {
    Site site = site(Optional.of("2x3x4"), Optional.of("6,first"));

    assertThat(site.kind()).isEqualTo(SiteKind.JOINT);
    assertThat(site.tokens()).hasToString("text 6, video 24");
    assertThat(site.sparsify()).isTrue();
  }

  @Test
  void theVideoMustBeTheRest() {
    assertThatThrownBy(() -> site(Optional.of("2x3x5"), Optional.of("6,last")))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("--video 2x3x5 is 30 tokens")
        .hasMessageContaining("[24] video tokens");
  }

  @Test
  void theEndMustBeSaidWhereTheGraphDoesNot() {
    assertThatThrownBy(() -> site(Optional.empty(), Optional.of("6")))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("--text 6,first or --text 6,last");
  }

  @Test
  void moreTextThanTokensIsRefused() {
    assertThatThrownBy(() -> site(Optional.empty(), Optional.of("30,last")))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("no attention of")
        .hasMessageContaining("more than 30 tokens");
  }

  @Test
  void whatTheGraphTellsIsNotContradicted() {
    file = ZooGraphs.model("cogvideox_2b-ts17-static", folder);

    assertThat(site(Optional.empty(), Optional.of("24")).tokens())
        .hasToString("text 24, video 192");
    assertThatThrownBy(() -> site(Optional.empty(), Optional.of("24,last")))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("are text 24, video 192");
  }

  @Test
  void tokensOfPixelsHoldNoText() {
    file = ZooGraphs.model("wan21_t2v-dynamo18-static", folder);

    assertThatThrownBy(() -> site(Optional.empty(), Optional.of("24,last")))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("made of the pixels of input");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "0", "-3", "24,", "24,middle", "first,24", "24 last"})
  void otherSpellingsAreUsageErrors(String spelling) {
    assertThatThrownBy(() -> TextTokens.parse(spelling))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("226,first");
  }
}
