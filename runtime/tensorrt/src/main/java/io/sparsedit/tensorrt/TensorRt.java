package io.sparsedit.tensorrt;

import io.sparsedit.tensorrt.calls.BuilderCalls;
import io.sparsedit.tensorrt.calls.TensorRtCalls;
import java.nio.file.Path;
import java.util.List;

/** TensorRT, found and with the plugins registered. */
public final class TensorRt {
  private final PluginLibrary plugins;
  private final TensorRtCalls calls;

  TensorRt(PluginLibrary plugins, TensorRtCalls calls) {
    this.plugins = plugins;
    this.calls = calls;
  }

  /**
   * What TensorRT said.
   *
   * @param severity how grave it is
   * @param text its words
   */
  public record Message(System.Logger.Level severity, String text) {}

  /** As in {@code 10.6.0}. */
  public String version() {
    return format(calls.version());
  }

  private static String format(int code) {
    return code / 10000 + "." + code % 10000 / 100 + "." + code % 100;
  }

  /**
   * Loads an engine and its weights onto the GPU.
   *
   * @throws TensorRtException if there is no GPU, or TensorRT does not take it: then it was built
   *     for another GPU or by another version
   */
  public Engine load(Path file) {
    requireCuda();
    return Engine.load(calls, file);
  }

  /**
   * Begins to build an engine. Reads TensorRT's kernels, which takes ten seconds or so.
   *
   * @throws TensorRtException if there is no GPU, or TensorRT's ONNX parser is not found
   */
  public EngineBuilder newBuilder() {
    requireCuda();
    BuilderCalls builder;
    try {
      builder = Presets.builder();
    } catch (TensorRtException e) {
      throw new TensorRtException(
          TensorRtException.Reason.TENSORRT,
          "TensorRT's ONNX parser is not usable here: " + e.getMessage(),
          e);
    }
    return EngineBuilder.create(builder);
  }

  /**
   * Where CUDA does not work, TensorRT gives a runtime that is none, and its builder ends the
   * process: it throws through a function that must not throw.
   */
  private void requireCuda() {
    plugins.requireGpu();
    Presets.cuda().freeBytes();
  }

  /** What TensorRT said since the last call, in any of its objects. */
  public List<Message> takeMessages() {
    return calls.takeMessages();
  }
}
