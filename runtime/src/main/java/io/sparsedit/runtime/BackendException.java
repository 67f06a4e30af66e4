package io.sparsedit.runtime;

/** The engine under the runtime is not there, does not take the model, or fails on it. */
public final class BackendException extends SparseDitException {
  private static final long serialVersionUID = 1L;

  /** What went wrong. */
  public enum Reason {
    /** The engine's library is not on the class path or does not load on this machine. */
    UNAVAILABLE,
    /** There is no NVIDIA GPU, no driver, or none that the kernels run on. */
    NO_GPU,
    /** The bundle has no TensorRT engine: {@code sparsify-model build}. */
    NO_ENGINE,
    /** The bundle's engines are for another GPU or TensorRT: {@code sparsify-model build} here. */
    MISMATCH,
    /** The engine refuses the model. */
    LOAD_FAILED,
    /** The GPU's memory does not suffice; what there was before is as it was. */
    OUT_OF_MEMORY,
    /** A step failed; the session stands where it stood, and the step can be run again. */
    RUN_FAILED
  }

  private final Reason reason;

  BackendException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  BackendException(Reason reason, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  /** What went wrong. */
  public Reason reason() {
    return reason;
  }
}
