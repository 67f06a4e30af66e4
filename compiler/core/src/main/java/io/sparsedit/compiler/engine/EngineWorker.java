package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.tensorrt.Engine;
import io.sparsedit.tensorrt.EngineBuilder;
import io.sparsedit.tensorrt.TensorRt;
import io.sparsedit.tensorrt.TensorRtException;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ReadableByteChannel;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;

/**
 * The program of the process in which TensorRT builds an engine; {@link EngineProcess} starts it.
 *
 * <p>Standard input gives an {@link EngineJob} in a line and then the model; its end means that the
 * engine is not wanted any more. Standard output takes {@link EngineAnswer}s.
 */
final class EngineWorker {
  private static final long SECONDS_TO_CANCEL = 5;
  private static final int STOPPED = 143;

  private final EngineJob job;
  private final PrintStream answers;
  private volatile Optional<EngineBuilder> running = Optional.empty();

  private EngineWorker(EngineJob job, PrintStream answers) {
    this.job = job;
    this.answers = answers;
  }

  /** Builds what standard input says. */
  public static void main(String[] arguments) throws IOException {
    InputStream in = System.in;
    PrintStream out = System.out;
    System.setOut(System.err);
    EngineJob job = EngineJob.parse(line(in));
    ByteBuffer model = read(in, job.modelBytes());
    EngineWorker worker = new EngineWorker(job, out);
    Thread watch = new Thread(() -> worker.cancelAtEndOf(in), "end of the build");
    watch.setDaemon(true);
    watch.start();
    try {
      worker.tell(EngineAnswer.Kind.LAYERS, worker.build(model));
    } catch (SparsifyException e) {
      worker.tell(
          e.kind() == SparsifyException.Kind.NO_GPU
              ? EngineAnswer.Kind.NO_GPU
              : EngineAnswer.Kind.FAILURE,
          String.valueOf(e.getMessage()));
    }
  }

  private static String line(InputStream in) throws IOException {
    ByteArrayOutputStream line = new ByteArrayOutputStream();
    for (int next = in.read(); next != '\n'; next = in.read()) {
      if (next < 0) {
        throw new EOFException("no job");
      }
      line.write(next);
    }
    return line.toString(StandardCharsets.UTF_8);
  }

  /** The model, outside the heap, where TensorRT's parser reads it. */
  private static ByteBuffer read(InputStream in, int bytes) throws IOException {
    ByteBuffer model = ByteBuffer.allocateDirect(bytes);
    ReadableByteChannel channel = Channels.newChannel(in); // System.in must stay open
    while (model.hasRemaining()) {
      if (channel.read(model) < 0) {
        throw new EOFException("half a model");
      }
    }
    return model.flip();
  }

  private synchronized void tell(EngineAnswer.Kind kind, String text) {
    // In a line of its own, whatever native code has printed.
    byte[] line =
        ("\n" + new EngineAnswer(kind, text).toLine() + "\n").getBytes(StandardCharsets.UTF_8);
    answers.write(line, 0, line.length);
    answers.flush();
  }

  /** Ends the build, and the process if that takes long, when nobody waits for it any more. */
  private void cancelAtEndOf(InputStream in) {
    try {
      while (in.read() >= 0) {
        // Nothing more is said.
      }
    } catch (IOException e) {
      // The other side is gone.
    }
    running.ifPresent(EngineBuilder::cancel);
    try {
      TimeUnit.SECONDS.sleep(SECONDS_TO_CANCEL);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    AtomicFile.deleteQuietly(job.engine());
    Runtime.getRuntime().halt(STOPPED);
  }

  /**
   * Builds the engine and writes it.
   *
   * @return TensorRT's description of its layers
   */
  private String build(ByteBuffer model) {
    TensorRt tensorRt = BuildTools.find(job.plugins()).tensorRt();
    Set<String> warnings = new LinkedHashSet<>();
    tell(EngineAnswer.Kind.STAGE, "start TensorRT " + tensorRt.version());
    boolean written = false;
    try (EngineBuilder builder = tensorRt.newBuilder()) {
      running = Optional.of(builder);
      tell(EngineAnswer.Kind.STAGE, "parse " + job.location());
      parse(builder, model, tensorRt.version());
      if (!job.shapes().isEmpty()) {
        builder.addProfile(job.shapes());
      }
      builder.configure(
          new EngineBuilder.Settings(job.tf32(), true, job.level(), job.auxiliaryStreams(), 0));
      TimingCache cache = new TimingCache(job.timingCache());
      cache.lend(builder);
      builder.build(job.engine(), watcher());
      cache.keep(builder).ifPresent(warnings::add);
      written = true;
    } catch (TensorRtException e) {
      throw failure(e, "TensorRT " + tensorRt.version() + " builds no engine of " + job.location());
    } finally {
      if (!written) {
        AtomicFile.deleteQuietly(job.engine());
      }
      for (TensorRt.Message message : tensorRt.takeMessages()) {
        if (message.severity() == System.Logger.Level.WARNING && !isExpected(message.text())) {
          warnings.add(message.text());
        }
      }
      warnings.forEach(warning -> tell(EngineAnswer.Kind.WARNING, warning));
    }
    try (Engine engine = tensorRt.load(job.engine())) {
      return engine.layers();
    } catch (TensorRtException e) {
      throw failure(e, "TensorRT does not load the engine that it has built");
    }
  }

  private static SparsifyException failure(TensorRtException e, String what) {
    return new SparsifyException(
        e.reason() == TensorRtException.Reason.TENSORRT
            ? SparsifyException.Kind.NO_GPU
            : SparsifyException.Kind.FAILURE,
        what + ": " + e.getMessage(),
        e);
  }

  private void parse(EngineBuilder builder, ByteBuffer model, String version) {
    try {
      builder.parse(model, job.location());
    } catch (TensorRtException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          "TensorRT "
              + version
              + "'s ONNX parser does not take "
              + job.location()
              + ": "
              + e.getMessage()
              + ". Each line begins with the operator and ends with its node. Export the model"
              + " without that operator or attribute, or as standard operators of opset 20 or"
              + " lower; docs/tensorrt.md lists what SparseDiT rewrites for the parser.",
          e);
    }
  }

  /** What TensorRT's parser says of every model with our plugins and 64-bit inputs. */
  private static boolean isExpected(String warning) {
    return warning.contains("not found in plugin node") || warning.contains("has Int64 binding");
  }

  /** Tells of a phase when it begins, and then how many of its steps are done. */
  private Consumer<EngineBuilder.Stage> watcher() {
    AtomicReference<String> phase = new AtomicReference<>("");
    AtomicReference<String> detail = new AtomicReference<>("");
    return stage -> {
      if (!stage.phase().equals(phase.getAndSet(stage.phase()))) {
        tell(EngineAnswer.Kind.STAGE, "build engine: " + stage.phase());
      }
      String text = stage.done() + " of " + stage.steps();
      if (stage.steps() > 1 && !text.equals(detail.getAndSet(text))) {
        tell(EngineAnswer.Kind.DETAIL, text);
      }
    };
  }
}
