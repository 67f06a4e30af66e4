package io.sparsedit.runtime;

/** The engine under the runtime is not there, does not take the model, or fails on it. */
public final class BackendException extends SparseDitException {
  private static final long serialVersionUID = 1L;

  /** What went wrong. */
  public enum Reason {
    /** The engine's library is not on the class path or does not load on this machine. */
    UNAVAILABLE,
    /** The engine refuses the model. */
    LOAD_FAILED,
    /** A step failed; the session stands where it stood, and the step can be run again. */
    RUN_FAILED
  }

  private final Reason reason;

  BackendException(Reason reason, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  /** What went wrong. */
  public Reason reason() {
    return reason;
  }
}
