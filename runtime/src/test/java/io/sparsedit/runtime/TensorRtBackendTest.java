package io.sparsedit.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.sparsedit.tensorrt.Gpu;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** What is said where an engine cannot run; running one takes a GPU (docs/tensorrt.md). */
final class TensorRtBackendTest {
  private static final Model.Options TENSORRT =
      Model.Options.defaults().withTarget(Model.Target.TENSORRT);
  private static final String LIBRARY = "no library";

  @TempDir private Path temp;

  @Test
  void aBundleWithoutAnEngineSaysHowToBuildOne() {
    Path folder = Fixture.folder();
    assertBackend(
        () -> Model.load(folder, TENSORRT),
        BackendException.Reason.NO_ENGINE,
        "has no TensorRT engine",
        "sparsify-model build " + folder);
  }

  @Test
  void theTargetDecidesWhatRuns() throws IOException {
    bundle(sha256(LIBRARY), LIBRARY);
    try (Model model =
        Model.load(temp, Model.Options.defaults().withTarget(Model.Target.ONNX_RUNTIME))) {
      assertThat(model.backend()).startsWith("ONNX Runtime");
    }
  }

  @Test
  @EnabledOnOs(value = OS.LINUX, architectures = "amd64")
  void aMissingFileOfTheEngineIsNamed() throws IOException {
    bundle(sha256(LIBRARY), LIBRARY);
    Files.delete(temp.resolve("plugins.so"));
    assertThatExceptionOfType(BundleException.class)
        .isThrownBy(() -> Model.load(temp, TENSORRT))
        .withMessageContaining("plugins.so is missing")
        .satisfies(e -> assertThat(e.reason()).isEqualTo(BundleException.Reason.FILE_MISSING));
  }

  @Test
  @EnabledOnOs(value = OS.LINUX, architectures = "amd64")
  void anEngineThatWasNotCopiedToItsEndIsNamed() throws IOException {
    bundle(sha256(LIBRARY), LIBRARY);
    Path description = temp.resolve("bundle.json");
    Files.writeString(
        description,
        Files.readString(description)
            .replace("\"file\": \"e.plan\",", "\"file\": \"e.plan\", \"bytes\": 18,"));
    for (Model.Options options : List.of(TENSORRT, TENSORRT.withCheckHash(false))) {
      assertThatExceptionOfType(BundleException.class)
          .isThrownBy(() -> Model.load(temp, options))
          .withMessageContaining("e.plan has 9 bytes, the bundle was written with 18")
          .satisfies(e -> assertThat(e.reason()).isEqualTo(BundleException.Reason.FILE_CHANGED));
    }
  }

  @Test
  void aDenseEngineIsAskedForByName() throws IOException {
    bundle(sha256(LIBRARY), LIBRARY);
    assertBackend(
        () -> Model.load(temp, Model.Options.defaults().withDense(true)),
        BackendException.Reason.NO_ENGINE,
        "has no dense TensorRT engine",
        "--dense");
  }

  @Test
  @EnabledOnOs(value = OS.LINUX, architectures = "amd64")
  void aPluginLibraryThatWasChangedIsNotLoaded() throws IOException {
    bundle(sha256("another"), LIBRARY);
    assertThatExceptionOfType(BundleException.class)
        .isThrownBy(() -> Model.load(temp, TENSORRT))
        .withMessageContaining("plugins.so is not the file")
        .satisfies(e -> assertThat(e.reason()).isEqualTo(BundleException.Reason.FILE_CHANGED));
  }

  @Test
  @EnabledOnOs(value = OS.LINUX, architectures = "amd64")
  void aBrokenInstallationIsNoReasonToRunOnTheCpu() throws IOException {
    bundle(sha256(LIBRARY), LIBRARY);
    for (Model.Options options : List.of(TENSORRT, Model.Options.defaults())) {
      assertBackend(
          () -> Model.load(temp, options),
          BackendException.Reason.UNAVAILABLE,
          "the plugin library does not load");
    }
  }

  @Test
  void anEngineForAnotherGpuOrVersionIsRefusedWithTheDifference() {
    Bundle bundle = Bundle.open(Fixture.folder());
    Gpu here = new Gpu("NVIDIA A100", 80, 40_000_000_000L);
    List<Bundle.EngineFile> engines =
        List.of(engine("a.plan", "NVIDIA H100", "9.0", "10.6.0", bundle.modelSha256()));
    assertBackend(
        () -> TensorRtBackend.choose(bundle, engines, here, "10.7.0"),
        BackendException.Reason.MISMATCH,
        "a.plan was built for compute capability 9.0 (NVIDIA H100) with TensorRT 10.6.0",
        "here are compute capability 8.0 (NVIDIA A100) and TensorRT 10.7.0",
        "sparsify-model build");
  }

  @Test
  void anEngineOfAnotherModelIsRefused() {
    Bundle bundle = Bundle.open(Fixture.folder());
    Gpu here = new Gpu("NVIDIA H100", 90, 80_000_000_000L);
    assertBackend(
        () ->
            TensorRtBackend.choose(
                bundle,
                List.of(engine("a.plan", "NVIDIA H100", "9.0", "10.6.0", "0")),
                here,
                "10.6.0"),
        BackendException.Reason.MISMATCH,
        "of another model.onnx");
  }

  @Test
  void theEngineOfTheVeryGpuIsTaken() {
    Bundle bundle = Bundle.open(Fixture.folder());
    String model = bundle.modelSha256();
    List<Bundle.EngineFile> engines =
        List.of(
            engine("a.plan", "NVIDIA A100", "8.0", "10.6.0", model),
            engine("b.plan", "NVIDIA H100", "9.0", "10.6.0", model),
            engine("c.plan", "NVIDIA H200", "9.0", "10.6.0", model));
    assertThat(chosen(bundle, engines, "NVIDIA H200", 90)).isEqualTo("c.plan");
    assertThat(chosen(bundle, engines, "NVIDIA H100", 90)).isEqualTo("b.plan");
    assertThat(chosen(bundle, engines, "NVIDIA GH200", 90)).isEqualTo("b.plan");
  }

  private static String chosen(
      Bundle bundle, List<Bundle.EngineFile> engines, String gpu, int capability) {
    return TensorRtBackend.choose(bundle, engines, new Gpu(gpu, capability, 1), "10.6.0").file();
  }

  private static Bundle.EngineFile engine(
      String file, String gpu, String capability, String tensorRt, String model) {
    return new Bundle.EngineFile(
        file, Optional.empty(), "1", model, "plugins.so", "2", tensorRt, gpu, capability);
  }

  /** The fixture with an engine, in {@link #temp}. */
  private void bundle(String pluginSum, String library) throws IOException {
    String entry =
        "\"engines\": [{\"file\": \"e.plan\", \"sha256\": \"1\", \"modelSha256\": \"1\","
            + " \"plugins\": {\"file\": \"plugins.so\", \"sha256\": \""
            + pluginSum
            + "\"}, \"tensorrt\": \"10.6.0\", \"gpu\": \"NVIDIA H100\","
            + " \"computeCapability\": \"9.0\"}], \"weights\":";
    Fixture.copyTo(temp, "\"weights\":", entry);
    Files.writeString(temp.resolve("plugins.so"), library);
    Files.writeString(temp.resolve("e.plan"), "no engine");
  }

  private static String sha256(String text) {
    try {
      return HexFormat.of()
          .formatHex(
              MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError(e);
    }
  }

  private static void assertBackend(
      Runnable call, BackendException.Reason reason, String... parts) {
    assertThatExceptionOfType(BackendException.class)
        .isThrownBy(call::run)
        .satisfies(
            e -> {
              assertThat(e.reason()).isEqualTo(reason);
              assertThat(e.getMessage()).contains(parts);
            });
  }
}
