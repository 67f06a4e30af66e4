package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;

/**
 * A Java process of its own in which TensorRT builds an engine.
 *
 * <p>TensorRT's builder tries kernels, and some of them crash. In its own process that is one
 * message and a bundle as it was, and a build can be stopped at any time: the native code would not
 * survive the end of a JVM in which it still works.
 */
final class EngineProcess implements AutoCloseable {
  private static final int SIGNAL = 128; // on top of it in an exit status
  private static final int SIGKILL = 9;

  /** Of SIGHUP, SIGINT and SIGTERM, which tell a program to stop. */
  private static final Set<Integer> TOLD_TO_STOP = Set.of(SIGNAL + 1, SIGNAL + 2, SIGNAL + 15);

  /** With options that Java puts into each of its processes, and names among this one's. */
  private static final List<String> JAVA_OPTIONS = List.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS");

  /** Beginnings of options of which two processes cannot have the same. */
  private static final List<String> AGENTS =
      List.of("-agent", "-javaagent", "-Xrun", "-Dcom.sun.management.");

  private static final long SECONDS_TO_STOP = 8;

  private final Process process;
  private final Path model;
  private final List<Path> temporary;
  private final Thread hook = new Thread(this::end, "end of an engine's build");
  private volatile boolean listens;
  private volatile boolean stopped;
  private volatile String stage = "start";

  private EngineProcess(Process process, Path model, List<Path> temporary) {
    this.process = process;
    this.model = model;
    this.temporary = List.copyOf(temporary);
  }

  /**
   * Starts it.
   *
   * @param model the model that it is for, as messages call it
   * @param temporary files that go when this is closed or this process is told to stop
   */
  static EngineProcess start(Path model, List<Path> temporary) {
    return start(EngineWorker.class.getName(), model, temporary);
  }

  /** Starts a program that answers as {@link EngineWorker} does. */
  static EngineProcess start(String program, Path model, List<Path> temporary) {
    Process process;
    try {
      ProcessBuilder builder =
          new ProcessBuilder(command(program)).redirectError(ProcessBuilder.Redirect.INHERIT);
      builder.environment().keySet().removeAll(JAVA_OPTIONS);
      process = builder.start();
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          "Java cannot be started to build an engine in: " + AtomicFile.reason(e),
          e);
    }
    EngineProcess started = new EngineProcess(process, model, temporary);
    Runtime.getRuntime().addShutdownHook(started.hook);
    return started;
  }

  /** Hands over what to build. */
  private void send(EngineJob job, byte[] onnx) {
    try {
      OutputStream to = process.getOutputStream();
      to.write((job.toLine() + "\n").getBytes(StandardCharsets.UTF_8));
      to.write(onnx);
      to.flush(); // and left open: its end would stop the build
      listens = true;
    } catch (IOException e) {
      // It has ended already, and its exit status says more.
    }
  }

  /**
   * This Java with this class path and these options, but for agents. A crash and a signal end it
   * at once: no report is written that nobody asked for, and no native code is unloaded under
   * threads that run it.
   */
  private static List<String> command(String program) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-XX:MaxDirectMemorySize=3g"); // the model: protobuf ends at 2 GiB
    ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(option -> AGENTS.stream().noneMatch(option::startsWith))
        .forEach(command::add);
    command.add("-Xrs");
    command.add("-XX:+SuppressFatalErrorMessage");
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add(program);
    return command;
  }

  /**
   * Has the engine built. An interrupt of the calling thread stops that, and stays set.
   *
   * @param onnx the model, as TensorRT's parser is to get it
   * @param warnings takes what the user should know
   * @param progress told of each stage, in a thread of its own
   * @return TensorRT's description of the layers
   * @throws SparsifyException if there is no engine
   */
  String build(EngineJob job, byte[] onnx, List<String> warnings, Progress progress) {
    // Beside the reading: whatever Java itself prints there first must not wait for that.
    inBackground(() -> send(job, onnx), "what to build");
    FutureTask<Optional<EngineAnswer>> reading = new FutureTask<>(() -> read(warnings, progress));
    inBackground(reading, "what is built");
    Optional<EngineAnswer> result;
    int status;
    try {
      result = reading.get();
      status = process.waitFor();
    } catch (InterruptedException e) {
      end();
      Thread.currentThread().interrupt();
      throw new SparsifyException(SparsifyException.Kind.FAILURE, ended(SIGNAL), e);
    } catch (ExecutionException e) {
      throw new IllegalStateException("the progress of a build cannot be told", e.getCause());
    }
    if (result.isEmpty()) {
      throw SparsifyException.failure(ended(status));
    }
    EngineAnswer answer = result.get();
    return switch (answer.kind()) {
      case NO_GPU -> throw new SparsifyException(SparsifyException.Kind.NO_GPU, answer.text());
      case FAILURE -> throw SparsifyException.failure(answer.text());
      default -> answer.text();
    };
  }

  private static void inBackground(Runnable work, String name) {
    Thread thread = new Thread(work, name);
    thread.setDaemon(true);
    thread.start();
  }

  /** All that it says until it ends. */
  private Optional<EngineAnswer> read(List<String> warnings, Progress progress) {
    Optional<EngineAnswer> result = Optional.empty();
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        Optional<EngineAnswer> answer = EngineAnswer.parse(line);
        if (answer.isPresent()) {
          result = take(answer.get(), warnings, progress);
        }
      }
    } catch (IOException e) {
      // As if it had said nothing more.
    }
    return result;
  }

  /** The answer, if it is the last one. */
  private Optional<EngineAnswer> take(
      EngineAnswer answer, List<String> warnings, Progress progress) {
    switch (answer.kind()) {
      case STAGE -> {
        stage = answer.text();
        progress.stage(stage);
      }
      case DETAIL -> progress.detail(answer.text());
      case WARNING -> warnings.add(answer.text());
      default -> {
        return Optional.of(answer);
      }
    }
    return Optional.empty();
  }

  /** What to say of a process that ended without a result. */
  private String ended(int status) {
    String where = " of " + model + " (in the stage '" + stage + "', ";
    String unchanged = "The bundle is what it was.";
    if (stopped || TOLD_TO_STOP.contains(status)) {
      return "the engine" + where + "stopped) is not built. " + unchanged;
    }
    if (status == SIGNAL + SIGKILL) {
      return "the process that builds the engine"
          + where
          + "signal 9) was killed, as Linux does where memory runs out. "
          + unchanged
          + " Build where there is more memory.";
    }
    if (status > SIGNAL) {
      return "TensorRT crashed while it built the engine"
          + where
          + "signal "
          + (status - SIGNAL)
          + "). That is a fault inside TensorRT, at one of the kernels that it tries. "
          + unchanged
          + " Another --optimization-level, --precision or range of shapes may avoid that kernel,"
          + " or another version of TensorRT 10.";
    }
    return "the process that builds the engine"
        + where
        + "exit status "
        + status
        + ") ended without a result; what it said is above. "
        + unchanged;
  }

  /**
   * Ends the build, if it is not done, and removes the temporary files. TensorRT is asked to stop,
   * and not waited for longer than a few seconds.
   */
  @Override
  public void close() {
    end();
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // This process is stopping, and the hook does the same.
    }
  }

  private void end() {
    if (process.isAlive()) {
      stopped = true;
      stop();
    }
    temporary.forEach(AtomicFile::deleteQuietly);
  }

  private void stop() {
    try {
      if (listens) {
        process.getOutputStream().close();
        if (process.waitFor(SECONDS_TO_STOP, TimeUnit.SECONDS)) {
          return;
        }
      }
      process.destroyForcibly().waitFor(SECONDS_TO_STOP, TimeUnit.SECONDS);
    } catch (IOException e) {
      process.destroyForcibly(); // it does not listen any more
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }
}
