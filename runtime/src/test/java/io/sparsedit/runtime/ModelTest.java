package io.sparsedit.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ModelTest {
  @TempDir private Path temp;

  @Test
  void closingTheModelClosesItsSessions() {
    Model model = Model.load(Fixture.folder());
    Session session = model.newSession();
    Map<String, Tensor> inputs = Fixture.inputs(1, 0, 2);
    session.run(0, 0, inputs);
    model.close();
    model.close();
    session.close();
    assertThatExceptionOfType(SessionException.class)
        .isThrownBy(() -> session.run(1, 0, inputs))
        .satisfies(e -> assertThat(e.reason()).isEqualTo(SessionException.Reason.CLOSED));
    assertThatExceptionOfType(SessionException.class)
        .isThrownBy(model::newSession)
        .withMessage("the model is closed")
        .satisfies(e -> assertThat(e.reason()).isEqualTo(SessionException.Reason.CLOSED));
  }

  @Test
  void closingTheModelWaitsForAStepThatRuns() throws Exception {
    Model model = Model.load(Fixture.folder());
    Session session = model.newSession();
    Map<String, Tensor> inputs = Fixture.inputs(1, 0, 200_000);
    session.run(0, 0, inputs);
    List<Throwable> thrown = new ArrayList<>();
    Thread runner =
        new Thread(
            () -> {
              try {
                while (true) {
                  session.run(0, 0, inputs);
                }
              } catch (RuntimeException e) {
                thrown.add(e);
              }
            });
    runner.start();
    Thread.sleep(50);
    model.close();
    runner.join();
    assertThat(thrown).hasSize(1);
    assertThat(thrown.get(0))
        .isInstanceOfSatisfying(
            SessionException.class,
            e -> assertThat(e.reason()).isEqualTo(SessionException.Reason.CLOSED));
  }

  @Test
  void theHashIsCheckedUnlessToldOtherwise() throws IOException {
    Fixture.copyTo(temp, "\"sha256\": \"", "\"sha256\": \"0");
    assertThatExceptionOfType(BundleException.class)
        .isThrownBy(() -> Model.load(temp))
        .satisfies(e -> assertThat(e.reason()).isEqualTo(BundleException.Reason.FILE_CHANGED));
    Model.load(temp, Model.Options.defaults().withCheckHash(false)).close();
  }

  @Test
  void aModelThatOnnxRuntimeRefusesIsReported() throws IOException {
    Fixture.copyTo(temp);
    Files.writeString(temp.resolve("model.onnx"), "no model");
    assertThatExceptionOfType(BackendException.class)
        .isThrownBy(() -> Model.load(temp, Model.Options.defaults().withCheckHash(false)))
        .withMessageContaining("does not load")
        .withMessageContaining("model.onnx")
        .satisfies(e -> assertThat(e.reason()).isEqualTo(BackendException.Reason.LOAD_FAILED));
  }

  @Test
  void aDescriptionOfAnotherModelIsReported() throws IOException {
    String[][] changes = {
      {"\"name\": \"scale\"", "\"name\": \"shift\"", "the model has no input shift"},
      {"\"name\": \"half\"", "\"name\": \"full\"", "the model has no output full"},
      {"\"f16\"", "\"bf16\"", "the model's output half is"},
      {
        "{\n      \"name\": \"scale\",",
        "{\"name\": \"x2\", \"type\": \"f32\", \"dims\": []}, {" + "\"name\": \"scale\",",
        "the model has no input x2"
      },
    };
    for (int i = 0; i < changes.length; i++) {
      Path folder = Files.createDirectory(temp.resolve("bundle" + i));
      Fixture.copyTo(folder, changes[i][0], changes[i][1]);
      assertThatExceptionOfType(BundleException.class)
          .isThrownBy(() -> Model.load(folder))
          .withMessageContaining("do not fit together: " + changes[i][2])
          .satisfies(e -> assertThat(e.reason()).isEqualTo(BundleException.Reason.MODEL_MISMATCH));
    }
  }

  @Test
  void optionsAreChecked() {
    assertThatIllegalArgumentException().isThrownBy(() -> Model.Options.defaults().withThreads(0));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Model.Options.defaults().withMaxBranches(0));
    assertThat(Model.Options.defaults().withThreads(2).withCheckHash(false).withMaxBranches(1))
        .hasToString(
            "Options[target=AUTO, threads=OptionalInt[2], checkHash=false, maxBranches=1,"
                + " cudaGraphs=false, dense=false]");
  }

  @Test
  void withoutOnnxRuntimeTheErrorNamesTheDependency() throws Exception {
    List<URL> urls = new ArrayList<>();
    for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
      if (!entry.contains("onnxruntime")) {
        urls.add(Path.of(entry).toUri().toURL());
      }
    }
    ClassLoader platform = ClassLoader.getPlatformClassLoader();
    try (URLClassLoader without = new URLClassLoader(urls.toArray(URL[]::new), platform)) {
      Class<?> model = without.loadClass(Model.class.getName());
      assertThatExceptionOfType(InvocationTargetException.class)
          .isThrownBy(() -> model.getMethod("load", Path.class).invoke(null, Fixture.folder()))
          .satisfies(
              e ->
                  assertThat(e.getCause())
                      .hasToString(
                          BackendException.class.getName()
                              + ": ONNX Runtime is not usable here"
                              + " (java.lang.NoClassDefFoundError: ai/onnxruntime/OrtException);"
                              + " put com.microsoft.onnxruntime:onnxruntime on the class path"));
    }
  }

  @Test
  void nativeMemoryStaysFlatOverAFewCycles() throws Exception {
    assertThat(growth(15)).isLessThan(24L << 20);
  }

  @Test
  @Tag("slow")
  void nativeMemoryStaysFlatOver200Cycles() throws Exception {
    assertThat(growth(200)).isLessThan(48L << 20);
  }

  /** Bytes by which a process grows in so many cycles; what it runs leaks 3 MB if it leaks. */
  private static long growth(int cycles) throws IOException, InterruptedException {
    assumeTrue(Files.isReadable(Path.of("/proc/self/statm")));
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xms64m",
                "-Xmx64m",
                "-XX:+AlwaysPreTouch",
                "-XX:+UseSerialGC",
                "-XX:MaxDirectMemorySize=12m",
                "-cp",
                System.getProperty("java.class.path"),
                MemoryCycles.class.getName(),
                "20",
                Integer.toString(cycles))
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).isZero();
    return Long.parseLong(printed.trim());
  }
}
