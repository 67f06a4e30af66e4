package io.sparsedit.tensorrt;

import java.nio.file.Path;
import java.util.function.LongConsumer;

/**
 * What the plugin library does for this module and JavaCPP's presets cannot: see {@code
 * plugins/sparsedit_plugins.h}, whose structures the numbers here describe.
 */
final class PluginFunctions {
  private static final int TEXT = 4096;
  private static final int LAYER_TIMES_HEADER = 16;

  private PluginFunctions() {}

  /** Deletes an object: {@code engine}, {@code runtime} and so on. */
  static LongConsumer delete(String kind) {
    return object -> Native.apply("sparsedit_delete_" + kind, object);
  }

  /**
   * The GPUs as the library's own CUDA runtime sees them.
   *
   * @param count how many
   * @param first the first, if there is one
   * @param failure why CUDA fails; empty if it does not
   */
  record Gpus(int count, Gpu first, String failure) {}

  static Gpus gpus() {
    Structure gpu = new Structure(544).fill("gpu");
    return new Gpus(
        gpu.getInt(0),
        new Gpu(gpu.text(16, 256), gpu.getInt(4), gpu.getLong(8)),
        gpu.text(272, 272));
  }

  /**
   * Loads a library for good.
   *
   * @param library a file, or a name for the system's loader
   * @return why it does not load; empty if it does
   */
  static String open(String library) {
    return new Structure(2 * TEXT).putText(0, TEXT, library).fill("open").text(TEXT, TEXT);
  }

  /** A file as memory. */
  static final class MappedFile implements AutoCloseable {
    private final Structure map;

    MappedFile(Path file) {
      this.map =
          new Structure(2 * TEXT + 16)
              .putText(0, TEXT, file.toAbsolutePath().toString())
              .fill("map");
      String failure = map.text(TEXT + 16, TEXT);
      if (!failure.isEmpty()) {
        throw TensorRtException.failed(file + ": " + failure);
      }
    }

    long address() {
      return map.getLong(TEXT);
    }

    long bytes() {
      return map.getLong(TEXT + 8);
    }

    @Override
    public void close() {
      map.fill("unmap");
    }
  }

  private static Handle make(String kind, String what) {
    long object = new Structure(8).fill("new_" + kind).getLong(0);
    if (object == 0) {
      throw TensorRtException.failed("no memory for " + what);
    }
    return new Handle(object, delete(kind), what);
  }

  /** What watches a build; to be closed after its configuration. */
  static Handle newProgress() {
    return make("progress", "progress");
  }

  /** How far it is; without a phase before the first. */
  static EngineBuilder.Stage stage(Handle progress) {
    Structure read = new Structure(256).putLong(0, progress.address()).fill("read_progress");
    return new EngineBuilder.Stage(read.text(16, 240), read.getInt(8), read.getInt(12));
  }

  /** From now on a build ends at its next step. */
  static void cancel(Handle progress) {
    Native.apply("sparsedit_cancel_progress", progress.address());
  }

  /** What times layers; to be closed after its context. */
  static Handle newLayerTimes() {
    return make("layer_times", "layer times");
  }

  /** The layers since the last call, a line each: milliseconds, a tab, the name. */
  static String takeLayerTimes(Handle times) {
    int room = 1 << 16;
    while (true) {
      Structure taken =
          new Structure(LAYER_TIMES_HEADER + room)
              .putLong(0, times.address())
              .putLong(8, room)
              .fill("take_layer_times");
      int bytes = Math.toIntExact(taken.getLong(8));
      if (bytes <= room) {
        return taken.text(LAYER_TIMES_HEADER, bytes);
      }
      room = bytes;
    }
  }
}
