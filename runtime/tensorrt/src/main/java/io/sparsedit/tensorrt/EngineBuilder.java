package io.sparsedit.tensorrt;

import io.sparsedit.tensorrt.calls.BuilderCalls;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * Builds one engine, strongly typed: {@link #parse}, {@link #configure}, {@link #build}; for one
 * thread, but for {@link #cancel}.
 */
public final class EngineBuilder implements AutoCloseable {
  private static final long POLL_MILLIS = 500;
  private static final long PART = 1 << 30;

  /** Deleted from the last to the first: users before what they use. */
  private final Deque<Handle> owned = new ArrayDeque<>();

  private final BuilderCalls calls;
  private final Handle builder;
  private final Handle network;
  private final Handle config;
  private final Handle parser;
  private final Handle progress;
  private boolean closed;
  private ByteBuffer model = ByteBuffer.allocateDirect(0);

  private EngineBuilder(BuilderCalls calls) {
    this.calls = calls;
    try {
      builder = own(calls.newBuilder(), "builder", "builder");
      network = own(calls.newNetwork(builder.address()), "network", "network");
      // TensorRT asks for the progress until the configuration is gone.
      progress = own(PluginFunctions.newProgress());
      config = own(calls.newConfig(builder.address()), "builder_config", "builder configuration");
      calls.setProgressMonitor(config.address(), progress.address());
      parser = own(calls.newParser(network.address()), "onnx_parser", "ONNX parser");
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  static EngineBuilder create(BuilderCalls calls) {
    return new EngineBuilder(calls);
  }

  private Handle own(Handle handle) {
    owned.push(handle);
    return handle;
  }

  private Handle own(long address, String kind, String what) {
    return own(new Handle(address, PluginFunctions.delete(kind), what));
  }

  /**
   * The shapes of an input that an engine is built for.
   *
   * @param smallest what it takes at least
   * @param usual what it is tuned for
   * @param largest what it takes at most
   */
  public record Shapes(List<Long> smallest, List<Long> usual, List<Long> largest) {
    /** Keeps its own copies. */
    public Shapes {
      smallest = List.copyOf(smallest);
      usual = List.copyOf(usual);
      largest = List.copyOf(largest);
    }
  }

  /**
   * How it is built.
   *
   * @param tf32 whether f32 matrix products may round their inputs to TF32
   * @param detailed whether the engine describes its layers in detail
   * @param level TensorRT's optimisation level from 0 to 5, or -1 for its default
   * @param auxiliaryStreams streams beside the main one that layers may run on, or -1 for
   *     TensorRT's default
   * @param workspaceBytes what a layer may take at most for its own use, or 0 for no limit
   */
  public record Settings(
      boolean tf32, boolean detailed, int level, int auxiliaryStreams, long workspaceBytes) {}

  /**
   * How far a build is.
   *
   * @param phase TensorRT's name of what it does
   * @param done steps that are done
   * @param steps all of them
   */
  public record Stage(String phase, int done, int steps) {}

  /**
   * Takes the network from an ONNX model.
   *
   * @param onnx the model, in a direct buffer that must not change until this is closed
   * @param location the file it stands for: external data is relative to it
   * @throws TensorRtException with the parser's words, a line for each node that it refuses
   */
  public void parse(ByteBuffer onnx, Path location) {
    model = onnx;
    calls.parse(parser.address(), model, location.toAbsolutePath().toString());
  }

  /** The network's inputs by name, with -1 for dimensions that vary. */
  public List<IoTensor> inputs() {
    return calls.inputs(network.address());
  }

  /** Adds an optimisation profile; needed where a dimension varies. */
  public void addProfile(Map<String, Shapes> shapes) {
    long profile = calls.newProfile(builder.address()); // the builder owns it
    shapes.forEach(
        (input, range) ->
            calls.setProfileShapes(
                profile, input, range.smallest(), range.usual(), range.largest()));
    calls.addProfile(config.address(), profile);
  }

  /** Sets how it is built. */
  public void configure(Settings settings) {
    calls.configure(
        config.address(),
        settings.tf32(),
        settings.detailed(),
        settings.level(),
        settings.auxiliaryStreams(),
        settings.workspaceBytes());
  }

  /**
   * Takes over the timings of earlier builds.
   *
   * @param content what {@link #timingCache} gave, or nothing
   * @return whether TensorRT took it; it refuses those of another version or GPU
   */
  public boolean useTimingCache(byte[] content) {
    long address = calls.newTimingCache(config.address(), content);
    if (address == 0) {
      return false;
    }
    Handle cache = new Handle(address, PluginFunctions.delete("timing_cache"), "timing cache");
    if (!calls.setTimingCache(config.address(), address)) {
      cache.close();
      return false;
    }
    owned.addLast(cache); // behind the configuration, which uses it
    return true;
  }

  /** The timings of this build and of those taken over. */
  public byte[] timingCache() {
    long memory = calls.serializedTimingCache(config.address());
    if (memory == 0) {
      return new byte[0];
    }
    try (Handle content = hostMemory(memory)) {
      byte[] bytes = new byte[Math.toIntExact(calls.size(content.address()))];
      calls.part(content.address(), 0, bytes.length).get(bytes);
      return bytes;
    }
  }

  private static Handle hostMemory(long address) {
    return new Handle(address, PluginFunctions.delete("host_memory"), "host memory");
  }

  /**
   * Builds the engine and writes it.
   *
   * @param file where to
   * @param watcher told now and then, on another thread, how far it is
   * @return the engine's size in bytes
   * @throws TensorRtException with TensorRT's words if it cannot
   */
  public long build(Path file, Consumer<Stage> watcher) {
    CountDownLatch finished = new CountDownLatch(1);
    Thread poll = new Thread(() -> watch(finished, watcher), "engine build progress");
    poll.setDaemon(true);
    poll.start();
    try (Handle engine =
        hostMemory(calls.build(builder.address(), network.address(), config.address()))) {
      return write(engine.address(), file);
    } finally {
      finished.countDown();
      join(poll);
    }
  }

  /**
   * Ends a build that runs on another thread at TensorRT's next step, with an exception there. A
   * step can take seconds.
   */
  public synchronized void cancel() {
    if (!closed) {
      PluginFunctions.cancel(progress);
    }
  }

  private long write(long engine, Path file) {
    long size = calls.size(engine);
    try (FileChannel out =
        FileChannel.open(
            file,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
      for (long offset = 0; offset < size; ) {
        offset += out.write(calls.part(engine, offset, (int) Math.min(PART, size - offset)));
      }
      out.force(true);
      return size;
    } catch (IOException e) {
      throw TensorRtException.failed(file + " cannot be written: " + e.getMessage());
    }
  }

  private void watch(CountDownLatch finished, Consumer<Stage> watcher) {
    try {
      while (!finished.await(POLL_MILLIS, TimeUnit.MILLISECONDS)) {
        Stage stage = PluginFunctions.stage(progress);
        if (!stage.phase().isEmpty()) {
          watcher.accept(stage);
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void join(Thread thread) {
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public synchronized void close() {
    closed = true;
    owned.forEach(Handle::close);
    owned.clear();
  }
}
