package io.sparsedit.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.passes.CompileOptions;
import io.sparsedit.passes.Pipeline;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.LayerTime;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** Layers as TensorRT makes them of Wan's blocks. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class LayerGroupsTest {
  private LayerGroups groups;

  @BeforeAll
  void compile(@TempDir Path folder) {
    Pipeline.compile(
        Path.of("..", "..", "testdata", "zoo", "wan21_t2v-ts17-static", "model.onnx"),
        folder.resolve("bundle"),
        CompileOptions.DEFAULT,
        new VerifyRequest(VerifyMode.NONE, Optional.empty(), Optional.empty()),
        WeightFiles.Mode.COPY,
        "test",
        Progress.SILENT);
    Bundle bundle = Bundle.open(folder.resolve("bundle"));
    groups = new LayerGroups(OnnxReader.readGraph(bundle.modelPath()).graph(), bundle.sites());
  }

  private LayerGroup of(String layer, String... nodes) {
    return groups.of(new LayerTime(layer, List.of(nodes), 1));
  }

  @Test
  void pluginsAreKnownByTheirNodes() {
    assertThat(of("blocks.0.attn1.plan", "blocks.0.attn1.plan")).isEqualTo(LayerGroup.PLANNER);
    assertThat(of("blocks.1.attn1.attention")).isEqualTo(LayerGroup.ATTENTION);
  }

  @Test
  void attentionIsThatOfASiteOrAnother() {
    assertThat(of("_gemm_mha_v2", "/blocks.0/attn2/MatMul", "/blocks.0/attn2/Softmax"))
        .isEqualTo(LayerGroup.OTHER_ATTENTION);
    // As in the dense engine, whose last node of a site has the site's name.
    assertThat(of("_gemm_mha_v2", "node_of_v_1", "blocks.0.attn1.attention"))
        .isEqualTo(LayerGroup.ATTENTION);
    assertThat(of("_gemm_mha_v2", "/blocks.0/attn1/Softmax")).isEqualTo(LayerGroup.ATTENTION);
  }

  @Test
  void productsWithWeightsAreNoAttention() {
    assertThat(of("qkv", "/blocks.0/attn1/to_q/MatMul", "/blocks.0/attn1/to_q/Add"))
        .isEqualTo(LayerGroup.MATMUL);
    assertThat(of("conv", "/patch_embedding/Conv")).isEqualTo(LayerGroup.MATMUL);
    assertThat(of("__myl_FcMulAdd_myl0_3", "/blocks.0/ffn/net.0/proj/MatMul", "/blocks.0/ffn/Mul"))
        .isEqualTo(LayerGroup.MATMUL);
  }

  @Test
  void aLayerThatPreparesAnOperandIsNoProduct() {
    assertThat(of("__myl_AddSqrDivMulTra_myl0_9", "/blocks.0/attn1/norm_k/Mul", "node_of_MatMul"))
        .isEqualTo(LayerGroup.QK_PREPARATION);
    assertThat(
            of("__myl_AddSqrDivMulTra_myl0_9", "/blocks.0/attn2/Mul_1", "/blocks.0/attn2/MatMul"))
        .isEqualTo(LayerGroup.ELEMENTWISE);
  }

  @Test
  void theRestIsNormsAndCopies() {
    assertThat(of("__myl_CasMulMea", "/blocks.0/attn1/norm_q/Pow", "/blocks.0/attn1/norm_q/Cast"))
        .isEqualTo(LayerGroup.QK_PREPARATION);
    assertThat(of("__myl_AddSqr", "/blocks.0/norm1/LayerNormalization", "/blocks.0/Mul_6"))
        .isEqualTo(LayerGroup.ELEMENTWISE);
    assertThat(of("__myl_Res", "/Reshape", "/Transpose")).isEqualTo(LayerGroup.COPY);
    assertThat(of("Reformatting CopyNode for Network Input action")).isEqualTo(LayerGroup.COPY);
    assertThat(of("signal")).isEqualTo(LayerGroup.OTHER);
  }

  @Test
  void timesAddUp() {
    assertThat(
            groups.sum(
                List.of(
                    new LayerTime("blocks.0.attn1.plan", List.of(), 1.5),
                    new LayerTime("blocks.1.attn1.plan", List.of(), 2),
                    new LayerTime("signal", List.of(), .25))))
        .isEqualTo(Map.of(LayerGroup.PLANNER, 3.5, LayerGroup.OTHER, .25));
  }
}
