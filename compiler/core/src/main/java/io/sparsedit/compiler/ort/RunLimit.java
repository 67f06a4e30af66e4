package io.sparsedit.compiler.ort;

import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession.RunOptions;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Stops a run of ONNX Runtime that takes too long; it ends at its next node or iteration. */
final class RunLimit implements AutoCloseable {
  private final RunOptions options;
  private final CountDownLatch done = new CountDownLatch(1);
  private final Thread watch;
  private volatile boolean reached;

  /** From now on the run may take so long. */
  RunLimit(Duration limit) throws OrtException {
    options = new RunOptions();
    watch = new Thread(() -> await(limit), "onnxruntime-limit");
    watch.setDaemon(true);
    watch.start();
  }

  private void await(Duration limit) {
    try {
      if (!done.await(limit.toMillis(), TimeUnit.MILLISECONDS)) {
        reached = true;
        options.setTerminate(true);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (OrtException e) {
      throw new IllegalStateException("ONNX Runtime cannot be told to stop", e);
    }
  }

  /** What the run is to be given. */
  RunOptions options() {
    return options;
  }

  /** Whether the run was told to stop. */
  boolean isReached() {
    return reached;
  }

  @Override
  public void close() {
    done.countDown();
    try {
      // The options must outlive whoever may still set them.
      watch.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    options.close();
  }
}
