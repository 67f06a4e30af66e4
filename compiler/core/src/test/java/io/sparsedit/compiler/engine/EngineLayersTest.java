package io.sparsedit.compiler.engine;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** On descriptions as TensorRT 10.6 writes them. */
final class EngineLayersTest {
  private static final String PLUGIN =
      layer("blocks.0.attn1.plan", "PluginV3", tensor("q", "1, 8, 2, 4", "BFloat16"), "order");

  @Test
  void layersThatOnlyMoveWhatAPluginReadsAreFound() {
    String layers =
        engine(
            layer("__myl_TraRes_myl1_24", "kgen", tensor("p", "1, 8, 8", "BFloat16"), "q"), PLUGIN);
    assertThat(EngineLayers.copies(layers))
        .containsExactly(
            new EngineLayers.Copy(
                "__myl_TraRes_myl1_24", "blocks.0.attn1.plan", true, "q", 1 * 8 * 2 * 4 * 2));
  }

  @Test
  void layersThatOnlyMoveWhatAPluginGivesAreFound() {
    String reformat =
        layer(
            "Reformatting CopyNode for Output Tensor 0 to blocks.0.attn1.plan",
            "Reformat",
            tensor("order", "1, 8", "Int32"),
            "next");
    assertThat(EngineLayers.copies(engine(PLUGIN, reformat)))
        .singleElement()
        .satisfies(
            copy -> {
              assertThat(copy.before()).isFalse();
              assertThat(copy.tensor()).isEqualTo("order");
              assertThat(copy.plugin()).isEqualTo("blocks.0.attn1.plan");
            });
  }

  @Test
  void layersThatComputeOrDoNothingAreNoCopies() {
    String norm = layer("__myl_MulSumAdd_myl1_3", "kgen", tensor("x", "8", "Float"), "q");
    String nothing =
        layer("Reformatting CopyNode for Network Input q", "NoOp", tensor("x", "8", "Float"), "q");
    String elsewhere = layer("__myl_Tra_myl1_9", "kgen", tensor("a", "8", "Float"), "b");
    assertThat(EngineLayers.copies(engine(norm, PLUGIN))).isEmpty();
    assertThat(EngineLayers.copies(engine(nothing, PLUGIN))).isEmpty();
    assertThat(EngineLayers.copies(engine(elsewhere, PLUGIN))).isEmpty();
  }

  @Test
  void sizesThatVaryAreNotGuessed() {
    String plugin = layer("plan", "PluginV3", tensor("q", "-1, 8", "Float"), "order");
    String copy = layer("__myl_Mov_myl1_1", "kgen", tensor("p", "-1, 8", "Float"), "q");
    assertThat(EngineLayers.copies(engine(copy, plugin)))
        .extracting(EngineLayers.Copy::bytes)
        .containsExactly(0L);
  }

  @Test
  void descriptionsOfNamesAloneTellNothing() {
    assertThat(EngineLayers.copies("{\"Layers\": [\"a\", \"b\"]}")).isEmpty();
    assertThat(EngineLayers.copies("no JSON")).isEmpty();
  }

  private static String engine(String... layers) {
    return "{\"Layers\": [" + String.join(",", layers) + "], \"Bindings\": []}";
  }

  private static String layer(String name, String type, String input, String output) {
    return "{\"Name\": \"%s\", \"LayerType\": \"%s\", \"Inputs\": [%s], \"Outputs\": [%s]}"
        .formatted(name, type, input, tensor(output, "1", "Float"));
  }

  private static String tensor(String name, String dims, String format) {
    return "{\"Name\": \"%s\", \"Dimensions\": [%s], \"Format/Datatype\": \"%s\"}"
        .formatted(name, dims, format);
  }
}
