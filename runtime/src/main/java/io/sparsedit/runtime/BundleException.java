package io.sparsedit.runtime;

/** A bundle that cannot be used as it is. The message names the file and what to do. */
public final class BundleException extends SparseDitException {
  private static final long serialVersionUID = 1L;

  /** What is wrong with the bundle. */
  public enum Reason {
    /** The folder or its {@code bundle.json} is not there. */
    NOT_FOUND,
    /** {@code bundle.json} cannot be read or says something impossible. */
    MALFORMED,
    /** Written for a newer runtime: update the runtime, or compile with the matching compiler. */
    UNSUPPORTED_VERSION,
    /** A file of the bundle is missing: copy the whole folder. */
    FILE_MISSING,
    /** A file is not the one that the compiler wrote: copy it again, or compile again. */
    FILE_CHANGED,
    /** {@code bundle.json} and the model do not fit together: compile again. */
    MODEL_MISMATCH
  }

  private final Reason reason;

  BundleException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  BundleException(Reason reason, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  /** What is wrong with the bundle. */
  public Reason reason() {
    return reason;
  }
}
