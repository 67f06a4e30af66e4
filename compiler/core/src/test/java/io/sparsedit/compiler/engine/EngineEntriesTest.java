package io.sparsedit.compiler.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.databind.JsonNode;
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

final class EngineEntriesTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir private Path folder;

  @BeforeEach
  void aBundle() throws IOException {
    Path model = Files.writeString(folder.resolve("model.onnx"), "the model");
    ObjectNode root = JSON.createObjectNode();
    root.putObject("model").put("file", "model.onnx").put("sha256", Sha256.of(model));
    root.put("other", 1);
    root.putArray("files").add("model.onnx").add("report.json");
    JSON.writeValue(folder.resolve("bundle.json").toFile(), root);
  }

  @Test
  void anEngineIsAddedToTheDescription() throws IOException {
    put("a.plan", "p.so", "GPU A");

    JsonNode root = description();
    assertThat(root.path("engines")).hasSize(1);
    assertThat(root.path("engines").path(0).path("file").asText()).isEqualTo("a.plan");
    assertThat(root.path("files").toString())
        .isEqualTo("[\"a.plan\",\"model.onnx\",\"p.so\",\"report.json\"]");
    assertThat(root.path("other").asInt()).isEqualTo(1);
  }

  @Test
  void anEngineForTheSameGpuIsReplacedAndItsFilesGo() throws IOException {
    put("a.plan", "p.so", "GPU A");
    put("b.plan", "p.so", "GPU B");
    put("a2.plan", "p2.so", "GPU A");

    assertThat(description().path("files").toString())
        .isEqualTo("[\"a2.plan\",\"b.plan\",\"model.onnx\",\"p.so\",\"p2.so\",\"report.json\"]");
    assertThat(folder.resolve("a.plan")).doesNotExist();
    assertThat(folder.resolve("b.plan")).exists();
    assertThat(folder.resolve("p.so")).exists();
  }

  /** What a bundle from elsewhere names is neither read nor deleted outside of it. */
  @Test
  void filesOutsideOfTheBundleAreRefused(@TempDir Path elsewhere) throws IOException {
    Path precious = Files.writeString(elsewhere.resolve("precious"), "the model");
    for (String name :
        List.of(precious.toString(), folder.relativize(precious).toString(), "a/../../b", "")) {
      ObjectNode root = (ObjectNode) description();
      root.putArray("engines")
          .addObject()
          .put("file", name)
          .putObject("plugins")
          .put("file", "p.so");
      JSON.writeValue(folder.resolve("bundle.json").toFile(), root);
      assertThatExceptionOfType(SparsifyException.class)
          .isThrownBy(() -> EngineEntries.read(folder))
          .withMessageContaining("bundle.json is damaged: it names the file '" + name + "'")
          .withMessageContaining("compile");
    }
    ObjectNode root = (ObjectNode) description();
    root.putArray("engines");
    root.putObject("model").put("file", precious.toString()).put("sha256", Sha256.of(precious));
    JSON.writeValue(folder.resolve("bundle.json").toFile(), root);
    assertThatExceptionOfType(SparsifyException.class)
        .isThrownBy(() -> EngineEntries.read(folder))
        .withMessageContaining("which is not in the bundle");
    assertThat(precious).exists();
  }

  @Test
  void aDenseEngineStandsBesideTheOtherAndSharesItsPlugins() throws IOException {
    put("a.plan", "p.so", "GPU A");
    put("dense.plan", "p.so", "GPU A", true);
    put("a2.plan", "p.so", "GPU A");

    JsonNode root = description();
    assertThat(root.path("engines")).hasSize(1);
    assertThat(root.path("denseEngines").path(0).path("file").asText()).isEqualTo("dense.plan");
    assertThat(folder.resolve("dense.plan")).exists();
    assertThat(folder.resolve("p.so")).exists();
    assertThat(folder.resolve("a.plan")).doesNotExist();
  }

  @Test
  void theSameEngineAgainStays() throws IOException {
    put("a.plan", "p.so", "GPU A");
    put("a.plan", "p.so", "GPU A");

    assertThat(description().path("engines")).hasSize(1);
    assertThat(folder.resolve("a.plan")).exists();
  }

  @Test
  void enginesOfAnEarlierModelGo() throws IOException {
    put("a.plan", "p.so", "GPU A");
    ObjectNode root = (ObjectNode) description();
    Path model = Files.writeString(folder.resolve("model.onnx"), "another model");
    ((ObjectNode) root.path("model")).put("sha256", Sha256.of(model));
    JSON.writeValue(folder.resolve("bundle.json").toFile(), root);

    put("b.plan", "p.so", "GPU B");

    assertThat(description().path("engines")).hasSize(1);
    assertThat(folder.resolve("a.plan")).doesNotExist();
  }

  @Test
  void whatIsFoundLaterIsAddedToTheEntry() throws IOException {
    put("a.plan", "p.so", "GPU A");

    BuildEngine.record(folder, "a.plan", JSON.createObjectNode().put("within", true));

    assertThat(description().path("engines").path(0).path("check").path("within").asBoolean())
        .isTrue();
    assertThatExceptionOfType(SparsifyException.class)
        .isThrownBy(() -> BuildEngine.record(folder, "b.plan", JSON.createObjectNode()))
        .withMessageContaining("has no engine b.plan any more");
  }

  @Test
  void anEngineCanBeTakenOutAgain() throws IOException {
    put("a.plan", "p.so", "GPU A");
    put("b.plan", "p.so", "GPU B");

    BuildEngine.remove(folder, "b.plan");

    assertThat(description().path("files").toString())
        .isEqualTo("[\"a.plan\",\"model.onnx\",\"p.so\",\"report.json\"]");
    assertThat(folder.resolve("b.plan")).doesNotExist();
    assertThat(folder.resolve("p.so")).exists();
  }

  @Test
  void aModelThatWasChangedIsRefused() throws IOException {
    Files.writeString(folder.resolve("model.onnx"), "changed");
    assertThatExceptionOfType(SparsifyException.class)
        .isThrownBy(() -> EngineEntries.read(folder))
        .withMessageContaining("was changed after the bundle was made");
  }

  @Test
  void aFolderThatIsNoBundleIsRefused() throws IOException {
    Path description = folder.resolve("bundle.json");
    Files.writeString(description, "{}");
    assertThatExceptionOfType(SparsifyException.class)
        .isThrownBy(() -> EngineEntries.read(folder))
        .withMessageContaining("bundle.json is damaged");
    Files.delete(description);
    assertThatExceptionOfType(SparsifyException.class)
        .isThrownBy(() -> EngineEntries.read(folder))
        .withMessageContaining("is not a bundle");
  }

  private void put(String engine, String plugins, String gpu) throws IOException {
    put(engine, plugins, gpu, false);
  }

  private void put(String engine, String plugins, String gpu, boolean dense) throws IOException {
    Files.writeString(folder.resolve(engine), engine);
    Files.writeString(folder.resolve(plugins), plugins);
    EngineEntries entries = EngineEntries.read(folder);
    ObjectNode entry = JSON.createObjectNode();
    entry.put("file", engine).put("modelSha256", entries.modelSha256());
    entry.putObject("plugins").put("file", plugins);
    entry.put("tensorrt", "10.6.0").put("gpu", gpu).put("computeCapability", "9.0");
    entries.put(entry, dense);
  }

  private JsonNode description() throws IOException {
    return JSON.readTree(folder.resolve("bundle.json").toFile());
  }
}
