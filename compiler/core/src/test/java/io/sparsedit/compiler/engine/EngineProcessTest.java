package io.sparsedit.compiler.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.tensorrt.EngineBuilder;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** What becomes of a build when its process ends, in whatever way; no GPU is needed for that. */
@Timeout(60)
final class EngineProcessTest {
  static final byte[] MODEL = "layers\n".repeat(100_000).getBytes(StandardCharsets.UTF_8);
  private static final int SIGTERM_STATUS = 143;

  @TempDir private Path folder;

  private final List<String> stages = new ArrayList<>();
  private final List<String> details = new ArrayList<>();
  private final List<String> warnings = new ArrayList<>();

  private final Progress progress =
      new Progress() {
        @Override
        public void stage(String stage) {
          stages.add(stage);
        }

        @Override
        public void detail(String detail) {
          details.add(detail);
        }
      };

  static EngineJob job(String ending, Path engine) {
    return new EngineJob(
        Path.of(ending),
        Path.of("m.onnx"),
        MODEL.length,
        engine,
        Map.of(),
        false,
        -1,
        -1,
        Optional.empty());
  }

  private String build(String ending) {
    Path engine = folder.resolve("engine.tmp");
    try (EngineProcess process =
        EngineProcess.start(ProcessEndings.class.getName(), Path.of("m.onnx"), List.of(engine))) {
      return process.build(job(ending, engine), MODEL, warnings, progress);
    }
  }

  private void assertFailure(String ending, SparsifyException.Kind kind, String... words) {
    assertThatExceptionOfType(SparsifyException.class)
        .isThrownBy(() -> build(ending))
        .withMessageContainingAll(words)
        .satisfies(e -> assertThat(e.kind()).isEqualTo(kind));
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void theModelGoesThereAndTheLayersComeBack() {
    assertThat(build("done")).isEqualTo(new String(MODEL, StandardCharsets.UTF_8));
    assertThat(stages).singleElement().asString().startsWith("process ");
    assertThat(details).containsExactly("3 of 7");
    assertThat(warnings).containsExactly("two\nlines");
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void theLayersOfALargeModelAreOneLine() {
    String layers = "layer \"x\" ".repeat(2_100_000);
    assertThat(
            EngineAnswer.parse(new EngineAnswer(EngineAnswer.Kind.LAYERS, layers).toLine())
                .map(EngineAnswer::text))
        .contains(layers);
  }

  @Test
  void whatItRefusesIsSaidInItsWords() {
    assertFailure("refused", SparsifyException.Kind.FAILURE, "TensorRT does not take it");
    assertFailure("unfit", SparsifyException.Kind.NO_GPU, "no GPU");
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void aCrashIsOneMessageWithARemedy() {
    assertFailure(
        "SEGV",
        SparsifyException.Kind.FAILURE,
        "TensorRT crashed while it built the engine of m.onnx (in the stage 'process ",
        "The bundle is what it was",
        "--optimization-level");
    assertThat(Path.of("").toAbsolutePath())
        .isDirectoryNotContaining(file -> file.getFileName().toString().startsWith("hs_err"));
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void aProcessThatTheSystemKillsWantedMemory() {
    assertFailure(
        "KILL",
        SparsifyException.Kind.FAILURE,
        "signal 9) was killed",
        "Build where there is more");
  }

  @Test
  void anEndWithoutAResultIsNoSuccess() {
    assertFailure("exit", SparsifyException.Kind.FAILURE, "exit status 3) ended without a result");
  }

  @Test
  void theProcessItselfSaysThatThereIsNoPluginLibrary() {
    Path engine = folder.resolve("engine.tmp");
    try (EngineProcess process = EngineProcess.start(Path.of("m.onnx"), List.of(engine))) {
      EngineJob job = job(folder.resolve("none.so").toString(), engine);
      assertThatExceptionOfType(SparsifyException.class)
          .isThrownBy(() -> process.build(job, MODEL, warnings, stages::add))
          .withMessageContaining("there is no plugin library " + folder.resolve("none.so"))
          .satisfies(e -> assertThat(e.kind()).isEqualTo(SparsifyException.Kind.NO_GPU));
    }
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void aBuildThatIsToldToStopLeavesNothing() throws IOException, InterruptedException {
    Process program =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                StoppedBuild.class.getName(),
                folder.resolve("engine.tmp").toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try (BufferedReader out =
        new BufferedReader(
            new InputStreamReader(program.getInputStream(), StandardCharsets.UTF_8))) {
      String stage = String.valueOf(out.readLine());
      ProcessHandle worker =
          ProcessHandle.of(Long.parseLong(stage.substring("process ".length()))).orElseThrow();

      program.destroy();

      assertThat(program.waitFor(30, TimeUnit.SECONDS)).isTrue();
      assertThat(program.exitValue()).isEqualTo(SIGTERM_STATUS);
      assertThat(worker.isAlive()).isFalse();
      assertThat(folder).isEmptyDirectory();
    } finally {
      program.destroyForcibly();
    }
  }

  @Test
  void anInterruptStopsTheBuild() {
    Path engine = folder.resolve("engine.tmp");
    Thread caller = Thread.currentThread();
    Progress progress =
        stage -> {
          stages.add(stage);
          caller.interrupt();
        };
    try (EngineProcess process =
        EngineProcess.start(ProcessEndings.class.getName(), Path.of("m.onnx"), List.of(engine))) {
      assertThatExceptionOfType(SparsifyException.class)
          .isThrownBy(() -> process.build(job("waits", engine), MODEL, warnings, progress))
          .withMessageContaining("stopped) is not built. The bundle is what it was");
      assertThat(Thread.interrupted()).isTrue();
    }
    long worker = Long.parseLong(stages.get(0).substring("process ".length()));
    assertThat(ProcessHandle.of(worker).filter(ProcessHandle::isAlive)).isEmpty();
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void aJobIsReadAsItWasWritten() throws IOException {
    EngineJob job =
        new EngineJob(
            Path.of("p\"l.so"),
            Path.of("/b/ü m.onnx"),
            7,
            folder.resolve("e"),
            Map.of(
                "x", new EngineBuilder.Shapes(List.of(1L, 1L << 40), List.of(2L, 2L), List.of()),
                "scalar", new EngineBuilder.Shapes(List.of(), List.of(), List.of())),
            true,
            3,
            2,
            Optional.of(Path.of("t")));

    assertThat(job.toLine()).doesNotContain("\n");
    assertThat(EngineJob.parse(job.toLine())).isEqualTo(job);
    assertThat(EngineJob.parse(job("done", folder).toLine())).isEqualTo(job("done", folder));
  }

  @Test
  void anAnswerIsReadAsItWasWrittenAndNothingElse() {
    for (EngineAnswer.Kind kind : EngineAnswer.Kind.values()) {
      EngineAnswer answer = new EngineAnswer(kind, "one\n\"two\" ü");
      assertThat(EngineAnswer.parse(answer.toLine())).contains(answer);
    }
    for (String line :
        List.of("", "[W] TensorRT", "{}", "{\"kind\":\"OTHER\",\"text\":\"\"}", "3")) {
      assertThat(EngineAnswer.parse(line)).isEmpty();
    }
  }
}
