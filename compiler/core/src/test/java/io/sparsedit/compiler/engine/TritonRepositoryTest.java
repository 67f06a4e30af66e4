package io.sparsedit.compiler.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.bundle.Sha256;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class TritonRepositoryTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir private Path folder;
  private Path bundle = Path.of("");
  private ObjectNode root = JSON.createObjectNode();

  @BeforeEach
  void aBundleWithAnEngine() throws IOException {
    bundle = Files.createDirectory(folder.resolve("wan.sparse"));
    Path model = Files.writeString(bundle.resolve("model.onnx"), "the model");
    Files.writeString(bundle.resolve("a.plan"), "the engine");
    root = JSON.createObjectNode();
    root.putObject("model").put("file", "model.onnx").put("sha256", Sha256.of(model));
    root.putObject("action").put("input", "action").put("sites", 2);
    tensor(root.putArray("inputs").addObject().put("name", "latents"), "bf16").add("batch").add(16);
    tensor(root.withArray("inputs").addObject().put("name", "guidance"), "f32");
    tensor(root.putArray("outputs").addObject().put("name", "sample"), "bf16").add("batch").add(16);
    ObjectNode state = root.putArray("state").addObject();
    state.put("input", "state.s0.means").put("output", "next.s0.means");
    tensor(state, "f32").add("2*batch").add(8);
    save();
  }

  private static com.fasterxml.jackson.databind.node.ArrayNode tensor(
      ObjectNode node, String type) {
    return node.put("type", type).putArray("dims");
  }

  private void save() throws IOException {
    JSON.writeValue(bundle.resolve("bundle.json").toFile(), root);
  }

  @Test
  void theEngineAndAllOfItsTensorsAreDescribed() throws IOException {
    Path model = TritonRepository.write(folder.resolve("models"), bundle, "a.plan");

    assertThat(model).isEqualTo(folder.resolve("models").resolve("wan_sparse"));
    assertThat(model.resolve("1").resolve("model.plan")).hasContent("the engine");
    assertThat(Files.readString(model.resolve("config.pbtxt")))
        .isEqualTo(
            """
            name: "wan_sparse"
            platform: "tensorrt_plan"
            max_batch_size: 0
            input [
              { name: "latents" data_type: TYPE_BF16 dims: [ -1, 16 ] },
              { name: "guidance" data_type: TYPE_FP32 dims: [ 1 ] reshape: { shape: [ ] } },
              { name: "action" data_type: TYPE_INT32 dims: [ 2 ] },
              { name: "state.s0.means" data_type: TYPE_FP32 dims: [ -1, 8 ] }
            ]
            output [
              { name: "sample" data_type: TYPE_BF16 dims: [ -1, 16 ] },
              { name: "next.s0.means" data_type: TYPE_FP32 dims: [ -1, 8 ] }
            ]
            instance_group [ { kind: KIND_GPU } ]
            """);
  }

  @Test
  void aLaterEngineReplacesAnEarlierOne() throws IOException {
    TritonRepository.write(folder.resolve("models"), bundle, "a.plan");
    Files.writeString(bundle.resolve("b.plan"), "another engine");

    Path model = TritonRepository.write(folder.resolve("models"), bundle, "b.plan");

    assertThat(model.resolve("1").resolve("model.plan")).hasContent("another engine");
    assertThat(bundle.resolve("a.plan")).hasContent("the engine");
  }

  @Test
  void aTypeThatTritonDoesNotHaveIsNamed() throws IOException {
    tensor(root.withArray("inputs").addObject().put("name", "wide"), "f64").add(1);
    save();
    assertThatExceptionOfType(SparsifyException.class)
        .isThrownBy(() -> TritonRepository.write(folder.resolve("models"), bundle, "a.plan"))
        .withMessageContaining("wide is f64");
    assertThat(folder.resolve("models")).doesNotExist();
  }
}
