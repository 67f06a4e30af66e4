package io.sparsedit.runtime;

/** A call that does not fit the session: nothing was run, nothing has changed. */
public final class SessionException extends SparseDitException {
  private static final long serialVersionUID = 1L;

  /** What does not fit. */
  public enum Reason {
    /** The session or its model is closed. */
    CLOSED,
    /** Another thread is running a step of this session: a session serves one thread at a time. */
    BUSY,
    /** Not the next step of the branch, and not step 0. */
    STEP_ORDER,
    /** A branch below 0 or at or above {@link Model.Options#maxBranches()}. */
    BRANCH,
    /** An input is missing, unknown, or of another type or shape than the model's. */
    INPUT,
    /** An output is unknown, or of another type or shape than the model's. */
    OUTPUT,
    /** The inputs' shape changes the state's in the middle of a run: start again at step 0. */
    SHAPE_CHANGED
  }

  private final Reason reason;

  SessionException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  /** What does not fit. */
  public Reason reason() {
    return reason;
  }
}
