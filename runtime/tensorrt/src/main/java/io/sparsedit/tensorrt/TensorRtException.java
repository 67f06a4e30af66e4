package io.sparsedit.tensorrt;

import java.util.Locale;

/** Something of CUDA or TensorRT is missing, unfit, or failed. */
public final class TensorRtException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** What TensorRT and CUDA take for themselves on the way: kernels, stacks, whole pages. */
  private static final long CUDA_TAKES = 64L << 20;

  /** What went wrong. */
  public enum Reason {
    /** The plugin library is not there, does not load, or another one is in use. */
    PLUGIN_LIBRARY,
    /** No NVIDIA driver, or one that is too old. */
    DRIVER,
    /** No GPU, or one that the kernels are not made for. */
    GPU,
    /** TensorRT's libraries are not found or are of another major version. */
    TENSORRT,
    /** The memory of the GPU, or that which can be pinned, does not suffice. */
    MEMORY,
    /** A call failed. */
    FAILED
  }

  private final Reason reason;

  /** A failed call, for want of memory where TensorRT or CUDA says so. */
  public static TensorRtException failed(String message) {
    boolean memory = message.contains("OutOfMemory") || message.contains("out of memory");
    return new TensorRtException(memory ? Reason.MEMORY : Reason.FAILED, message);
  }

  /**
   * The GPU's memory does not suffice.
   *
   * @param what what needs memory, as in "an allocation"
   * @param needed the bytes that it needs
   * @param free the bytes that there are
   */
  public static TensorRtException outOfMemory(String what, long needed, long free) {
    return new TensorRtException(
        Reason.MEMORY,
        String.format(
            Locale.ROOT,
            "%s needs %,.1f MB of GPU memory or somewhat more; %,.1f MB are free",
            what,
            needed / 1e6,
            free / 1e6));
  }

  /**
   * A failure for want of memory, if it was one. What TensorRT says where the GPU is full is
   * sometimes that, and sometimes something else.
   *
   * @param what what needs memory, as in "an execution context"
   * @param needed the bytes that it needs at least
   * @param free the bytes that there are
   */
  TensorRtException explained(String what, long needed, long free) {
    if (reason != Reason.MEMORY && free >= needed + CUDA_TAKES) {
      return this;
    }
    String room = outOfMemory(what, needed, free).getMessage();
    return new TensorRtException(Reason.MEMORY, room + ": " + getMessage(), this);
  }

  TensorRtException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  TensorRtException(Reason reason, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  /** What went wrong. */
  public Reason reason() {
    return reason;
  }
}
