package io.sparsedit.tensorrt.presets;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Map;
import java.util.WeakHashMap;

/**
 * The errors that TensorRT logs, by the call in which it does. A process has one logger, and its
 * sessions call TensorRT at the same time: the failure of one must neither take nor get the words
 * of another's.
 *
 * <p>What TensorRT logs on a thread of its own goes to whoever asks first.
 */
final class CallErrors {
  private static final int MOST = 20;

  private final Map<Thread, Deque<String>> byCaller = new WeakHashMap<>();
  private final Deque<String> others = new ArrayDeque<>();

  /** This thread calls TensorRT now: what was logged for it before does not count. */
  synchronized void begin() {
    byCaller.computeIfAbsent(Thread.currentThread(), any -> new ArrayDeque<>()).clear();
    others.clear();
  }

  /** Takes what is logged on this thread. */
  synchronized void add(String text) {
    Deque<String> queue = byCaller.getOrDefault(Thread.currentThread(), others);
    queue.addLast(text);
    if (queue.size() > MOST) {
      queue.removeFirst();
    }
  }

  /** What was logged in this thread's call, and by no call; it is gone then. */
  synchronized String take() {
    Deque<String> all = new ArrayDeque<>(others);
    others.clear();
    Deque<String> own = byCaller.getOrDefault(Thread.currentThread(), others);
    all.addAll(own);
    own.clear();
    return String.join("; ", all);
  }
}
