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
    /** A call failed. */
    FAILED
  }

  private final Reason reason;

  /** A failed call. */
  public static TensorRtException failed(String message) {
    return new TensorRtException(Reason.FAILED, message);
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
