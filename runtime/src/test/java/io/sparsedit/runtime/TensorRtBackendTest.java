package io.sparsedit.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.sparsedit.tensorrt.Gpu;
import io.sparsedit.tensorrt.TensorRtException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
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

  /** A production host with an engine has no use for weights of many gigabytes. */
  @Test
  @EnabledOnOs(value = OS.LINUX, architectures = "amd64")
  void anEngineNeedsNeitherThePortableModelNorItsWeights() throws IOException {
    bundle(sha256(LIBRARY), LIBRARY);
    Files.delete(temp.resolve("model.onnx"));
    Files.delete(temp.resolve("weights").resolve("bias.bin"));
    assertBackend(
        () -> Model.load(temp, TENSORRT),
        BackendException.Reason.UNAVAILABLE,
        "the plugin library does not load");
    assertThatExceptionOfType(BundleException.class)
        .isThrownBy(() -> Model.load(temp))
        .withMessageContaining("model.onnx is missing");
  }

  @Test
  @EnabledOnOs(value = OS.LINUX, architectures = "amd64")
  void aMissingFileOfTheEngineIsNamed() throws IOException {
    bundle(sha256(LIBRARY), LIBRARY);
    Files.delete(temp.resolve("plugins.so"));
    assertThatExceptionOfType(BundleException.class)
        .isThrownBy(() -> Model.load(temp, TENSORRT))
        .withMessageContaining("plugins.so is missing")
        .withMessageEndingWith("or build the engine again: sparsify-model build " + temp)
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
          .withMessageContaining("e.plan has 9 bytes, the bundle was written with 18; copy")
          .withMessageEndingWith("or build the engine again: sparsify-model build " + temp)
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
        .withMessageEndingWith("or build the engine again: sparsify-model build " + temp)
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
  void withoutAUsableGpuThePortableModelRunsAndThatIsSaidOnce() throws IOException {
    bundle(sha256(LIBRARY), LIBRARY);
    Model.load(Fixture.folder()).close(); // ONNX Runtime looks at the platform only once
    List<String> warnings = new ArrayList<>();
    Logger log = Logger.getLogger("io.sparsedit.runtime");
    Handler collector = new Collector(warnings);
    String platform = System.getProperty("os.arch");
    log.addHandler(collector);
    System.setProperty("os.arch", "aarch64");
    try (Model model = Model.load(temp);
        Session session = model.newSession()) {
      assertThat(model.backend()).startsWith("ONNX Runtime");
      session.run(0, 0, Fixture.inputs(1, 0, 2));
      assertBackend(() -> Model.load(temp, TENSORRT), BackendException.Reason.NO_GPU, "on aarch64");
    } finally {
      System.setProperty("os.arch", platform);
      log.removeHandler(collector);
    }
    assertThat(warnings)
        .singleElement()
        .asString()
        .startsWith(temp + ": its TensorRT engine is not used, for TensorRT engines run on Linux")
        .endsWith("; the portable model runs in ONNX Runtime on the CPU");
  }

  /** Keeps the warnings. */
  private static final class Collector extends Handler {
    private final List<String> warnings;

    Collector(List<String> warnings) {
      this.warnings = warnings;
    }

    @Override
    public void publish(LogRecord message) {
      if (message.getLevel().equals(Level.WARNING)) {
        warnings.add(message.getMessage());
      }
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
  }

  @Test
  void wantOfMemoryIsToldFromOtherFailures() {
    TensorRtException full = TensorRtException.outOfMemory("a session", 2_000_000, 1_000_000);
    TensorRtException other = TensorRtException.failed("an illegal memory access");
    for (BackendException.Reason step :
        List.of(BackendException.Reason.RUN_FAILED, BackendException.Reason.LOAD_FAILED)) {
      assertThat(TensorRtBackend.reasonOr(step, full))
          .isEqualTo(BackendException.Reason.OUT_OF_MEMORY);
      assertThat(TensorRtBackend.reasonOr(step, other)).isEqualTo(step);
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
        "a.plan was built for compute capability 9.0 (NVIDIA H100), not 8.0 (NVIDIA A100),"
            + " and with TensorRT 10.6.0, not 10.7.0. Build one here: sparsify-model build "
            + bundle.folder());
  }

  @Test
  void onlyWhatDoesNotFitIsListedForEachEngine() {
    Bundle bundle = Bundle.open(Fixture.folder());
    Gpu here = new Gpu("NVIDIA H100", 90, 80_000_000_000L);
    assertBackend(
        () ->
            TensorRtBackend.choose(
                bundle,
                List.of(
                    engine("a.plan", "NVIDIA H100", "9.0", "10.4.0", bundle.modelSha256()),
                    engine("b.plan", "NVIDIA A100", "8.0", "10.6.0", bundle.modelSha256())),
                here,
                "10.6.0"),
        BackendException.Reason.MISMATCH,
        "fits: a.plan was built with TensorRT 10.4.0, not 10.6.0; b.plan was built for compute"
            + " capability 8.0 (NVIDIA A100), not 9.0 (NVIDIA H100). Build");
  }

  @Test
  void theCommandThatRebuildsHasTheOptionsOfTheEngine() throws IOException {
    String entry =
        """
        "engines": [{"file": "e.plan", "sha256": "1", "modelSha256": "1", "precision": "bf16",
          "tf32": true, "shapes": {
            "state.s0.count": {"min": [1, 4], "opt": [2, 4], "max": [2, 4]},
            "x": {"min": [1, 4], "opt": [2, 4], "max": [3, 4]}},
          "plugins": {"file": "plugins.so", "sha256": "1"}, "tensorrt": "10.6.0",
          "gpu": "NVIDIA H100", "computeCapability": "9.0"}], "weights":""";
    Path folder = Files.createDirectory(temp.resolve("a bundle"));
    Fixture.copyTo(folder, "\"weights\":", entry);
    Bundle bundle = Bundle.open(folder);
    assertBackend(
        () ->
            TensorRtBackend.choose(
                bundle, bundle.engines(), new Gpu("NVIDIA A100", 80, 1), "10.6.0"),
        BackendException.Reason.MISMATCH,
        ". Build one here: sparsify-model build '"
            + folder
            + "' --precision bf16 --allow-tf32 --min-shapes x:1x4 --opt-shapes x:2x4 --max-shapes"
            + " x:3x4");
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
        file,
        Optional.empty(),
        "1",
        model,
        "plugins.so",
        "2",
        tensorRt,
        gpu,
        capability,
        new Rebuild.Options(false, Rebuild.KEEP, false, Map.of()));
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
