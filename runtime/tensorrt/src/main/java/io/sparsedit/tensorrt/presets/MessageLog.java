package io.sparsedit.tensorrt.presets;

import io.sparsedit.tensorrt.TensorRt;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import org.bytedeco.tensorrt.nvinfer.ILogger;

/** Collects what TensorRT logs, from any thread, until it is taken. */
final class MessageLog extends ILogger {
  private static final int MOST_MESSAGES = 1000;

  private final Deque<TensorRt.Message> messages = new ArrayDeque<>();
  private final CallErrors errors = new CallErrors();

  /** Called by TensorRT; nothing may be thrown into it. */
  @Override
  public void log(Severity severity, String text) {
    Optional<System.Logger.Level> level = level(severity);
    if (level.isPresent() && text != null) {
      add(new TensorRt.Message(level.get(), text));
    }
  }

  private static Optional<System.Logger.Level> level(Severity severity) {
    return switch (severity.intern()) {
      case kINTERNAL_ERROR, kERROR -> Optional.of(System.Logger.Level.ERROR);
      case kWARNING -> Optional.of(System.Logger.Level.WARNING);
      case kINFO -> Optional.of(System.Logger.Level.INFO);
      case kVERBOSE -> Optional.empty();
    };
  }

  private void add(TensorRt.Message message) {
    synchronized (messages) {
      messages.addLast(message);
      if (messages.size() > MOST_MESSAGES) {
        messages.removeFirst();
      }
    }
    if (message.severity() == System.Logger.Level.ERROR) {
      errors.add(message.text());
    }
  }

  List<TensorRt.Message> takeMessages() {
    synchronized (messages) {
      List<TensorRt.Message> taken = List.copyOf(messages);
      messages.clear();
      return taken;
    }
  }

  /** The errors of this thread's calls. */
  CallErrors errors() {
    return errors;
  }
}
