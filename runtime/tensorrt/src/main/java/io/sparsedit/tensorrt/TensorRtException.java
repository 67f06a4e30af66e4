package io.sparsedit.tensorrt;

/** Something of CUDA or TensorRT is missing, unfit, or failed. */
public final class TensorRtException extends RuntimeException {
  private static final long serialVersionUID = 1L;

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
