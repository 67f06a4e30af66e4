package io.sparsedit.tensorrt;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** TensorRT, found and with the plugins registered. */
public final class TensorRt {
  private final String version;
  private final String folder;

  TensorRt(String version, String folder) {
    this.version = version;
    this.folder = folder;
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
    return version;
  }

  /**
   * Loads an engine and its weights onto the GPU.
   *
   * @throws TensorRtException if TensorRT does not take it: then it was built for another GPU or by
   *     another version
   */
  public Engine load(Path file) {
    return Engine.load(file);
  }

  /**
   * Begins to build an engine. Reads TensorRT's kernels, which takes ten seconds or so.
   *
   * @throws TensorRtException if TensorRT's ONNX parser is not found
   */
  public EngineBuilder newBuilder() {
    try {
      Native.openParser(folder);
    } catch (TensorRtException e) {
      throw new TensorRtException(
          TensorRtException.Reason.TENSORRT,
          "TensorRT's ONNX parser is not usable here: " + e.getMessage(),
          e);
    }
    return EngineBuilder.create();
  }

  /** What TensorRT said since the last call, in any of its objects. */
  public List<Message> takeMessages() {
    List<Message> messages = new ArrayList<>();
    for (String message : Native.takeMessages()) {
      System.Logger.Level severity =
          switch (message.charAt(0)) {
            case 'E' -> System.Logger.Level.ERROR;
            case 'W' -> System.Logger.Level.WARNING;
            default -> System.Logger.Level.INFO;
          };
      messages.add(new Message(severity, message.substring(1)));
    }
    return messages;
  }
}
