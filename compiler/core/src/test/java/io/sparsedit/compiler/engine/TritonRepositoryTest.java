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
import java.util.List;
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
    tensor(root.withArray("inputs").addObject().put("name", "guidance"), "f32").add(1);
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
  void stateOfVariableShapeIsPassedOnByTheClient() throws IOException {
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
              { name: "guidance" data_type: TYPE_FP32 dims: [ 1 ] },
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
  void stateOfFixedShapeStaysInTheServer() throws IOException {
    root.putArray("state");
    ObjectNode state = root.withArray("state").addObject();
    state.put("input", "state.s0.means").put("output", "next.s0.means");
    tensor(state, "f32").add(2).add(8);
    save();

    Path model = TritonRepository.write(folder.resolve("models"), bundle, "a.plan");

    assertThat(Files.readString(model.resolve("config.pbtxt")))
        .isEqualTo(
            """
            name: "wan_sparse"
            platform: "tensorrt_plan"
            max_batch_size: 0
            input [
              { name: "latents" data_type: TYPE_BF16 dims: [ -1, 16 ] },
              { name: "guidance" data_type: TYPE_FP32 dims: [ 1 ] },
              { name: "action" data_type: TYPE_INT32 dims: [ 2 ] }
            ]
            output [
              { name: "sample" data_type: TYPE_BF16 dims: [ -1, 16 ] }
            ]
            sequence_batching {
              max_sequence_idle_microseconds: 600000000
              oldest { max_candidate_sequences: 4 }
              state [
                { input_name: "state.s0.means" output_name: "next.s0.means" data_type: TYPE_FP32 dims: [ 2, 8 ] }
              ]
            }
            instance_group [ { kind: KIND_GPU } ]
            """);
  }

  @Test
  void anEngineForOneSizeFixesTheState() throws IOException {
    ObjectNode engine = root.putArray("engines").addObject().put("file", "a.plan");
    engine.putObject("plugins").put("file", "a.so");
    ObjectNode shapes = engine.putObject("shapes");
    for (String range : List.of("min", "opt", "max")) {
      shapes.withObject("/latents").putArray(range).add("max".equals(range) ? 3 : 2).add(16);
      shapes.withObject("/state.s0.means").putArray(range).add(4).add(8);
    }
    save();

    Path model = TritonRepository.write(folder.resolve("models"), bundle, "a.plan");

    assertThat(Files.readString(model.resolve("config.pbtxt")))
        .contains("{ name: \"latents\" data_type: TYPE_BF16 dims: [ -1, 16 ] }")
        .contains("output_name: \"next.s0.means\" data_type: TYPE_FP32 dims: [ 4, 8 ]");
  }

  @Test
  void aScalarIsRefusedBeforeAnythingIsBuilt() throws IOException {
    tensor(root.withArray("inputs").addObject().put("name", "sigma"), "f32");
    save();
    assertThatExceptionOfType(SparsifyException.class)
        .isThrownBy(() -> TritonRepository.check(bundle))
        .withMessageContaining("sigma has no dimensions")
        .withMessageContaining("tensor of one element");
  }

  @Test
  void theServerIsToldToLoadThePluginsFirst() throws IOException {
    Path plugins = folder.resolve("libsparsedit_plugins.so");
    Path loader = folder.resolve("libsparsedit_load.so");
    Path models = Path.of("out", "models");

    assertThat(TritonRepository.howToServe(models, plugins))
        .contains(
            "  tritonserver --model-repository=out/models --backend-config=tensorrt,plugins="
                + loader)
        .anyMatch(line -> line.contains("LD_PRELOAD=" + loader))
        .last()
        .asString()
        .contains("not there yet", "--target sparsedit_load");

    Files.createFile(loader);
    assertThat(TritonRepository.howToServe(models, plugins))
        .noneMatch(line -> line.contains("not there yet"));
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
