package io.sparsedit.tensorrt;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** Builds one engine, strongly typed: {@link #parse}, {@link #configure}, {@link #build}. */
public final class EngineBuilder implements AutoCloseable {
  private static final long POLL_MILLIS = 500;

  /** Deleted from the last to the first: users before what they use. */
  private final Deque<Handle> owned = new ArrayDeque<>();

  private final Handle builder;
  private final Handle network;
  private final Handle config;
  private final Handle parser;
  private final Handle progress;
  private ByteBuffer model = ByteBuffer.allocateDirect(0);

  private EngineBuilder() {
    try {
      builder = own(Native.newBuilder(), Native::deleteBuilder, "builder");
      network = own(Native.newNetwork(builder.address()), Native::deleteNetwork, "network");
      // TensorRT asks for the progress until the configuration is gone.
      long address = Native.newConfig(builder.address());
      long monitor;
      try {
        monitor = Native.newProgress(address);
      } catch (RuntimeException e) {
        Native.deleteConfig(address);
        throw e;
      }
      progress = own(monitor, Native::deleteProgress, "progress");
      config = own(address, Native::deleteConfig, "builder configuration");
      parser = own(Native.newParser(network.address()), Native::deleteParser, "ONNX parser");
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  static EngineBuilder create() {
    return new EngineBuilder();
  }

  private Handle own(long address, java.util.function.LongConsumer delete, String what) {
    Handle handle = new Handle(address, delete, what);
    owned.push(handle);
    return handle;
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
   * @param workspaceBytes what a layer may take at most for its own use, or 0 for no limit
   */
  public record Settings(boolean tf32, boolean detailed, int level, long workspaceBytes) {}

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
    Native.parse(parser.address(), model, model.limit(), location.toAbsolutePath().toString());
  }

  /** The network's inputs by name, with -1 for dimensions that vary. */
  public List<IoTensor> inputs() {
    List<IoTensor> inputs = new ArrayList<>();
    int count = Native.inputCount(network.address());
    for (int i = 0; i < count; i++) {
      inputs.add(
          new IoTensor(
              Native.inputName(network.address(), i),
              true,
              "",
              true,
              IoTensor.list(Native.inputShape(network.address(), i))));
    }
    return inputs;
  }

  /** Adds an optimisation profile; needed where a dimension varies. */
  public void addProfile(Map<String, Shapes> shapes) {
    long profile = Native.newProfile(builder.address()); // the builder owns it
    shapes.forEach(
        (input, range) -> {
          Native.setProfileShape(profile, input, 0, array(range.smallest()));
          Native.setProfileShape(profile, input, 1, array(range.usual()));
          Native.setProfileShape(profile, input, 2, array(range.largest()));
        });
    Native.addProfile(config.address(), profile);
  }

  private static long[] array(List<Long> dims) {
    return dims.stream().mapToLong(Long::longValue).toArray();
  }

  /** Sets how it is built. */
  public void configure(Settings settings) {
    Native.configure(
        config.address(),
        settings.tf32(),
        settings.detailed(),
        settings.level(),
        settings.workspaceBytes());
  }

  /**
   * Takes over the timings of earlier builds.
   *
   * @param content what {@link #timingCache} gave, or nothing
   * @return whether TensorRT took it; it refuses those of another version or GPU
   */
  public boolean useTimingCache(byte[] content) {
    long cache = Native.useTimingCache(config.address(), content);
    if (cache == 0) {
      return false;
    }
    // Behind the configuration, which uses it.
    owned.addLast(new Handle(cache, Native::deleteTimingCache, "timing cache"));
    return true;
  }

  /** The timings of this build and of those taken over. */
  public byte[] timingCache() {
    return Native.timingCacheContent(config.address());
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
    try {
      return Native.build(builder.address(), network.address(), config.address(), file.toString());
    } finally {
      finished.countDown();
      join(poll);
    }
  }

  private void watch(CountDownLatch finished, Consumer<Stage> watcher) {
    try {
      while (!finished.await(POLL_MILLIS, TimeUnit.MILLISECONDS)) {
        String[] parts = Native.progress(progress.address()).split("\t", -1);
        if (parts.length == 3) {
          watcher.accept(
              new Stage(parts[0], Integer.parseInt(parts[1]), Integer.parseInt(parts[2])));
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
  public void close() {
    owned.forEach(Handle::close);
    owned.clear();
  }
}
