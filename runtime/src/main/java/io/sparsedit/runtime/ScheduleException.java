package io.sparsedit.runtime;

/** A schedule that makes no sense, or not for this bundle. The message names step and site. */
public final class ScheduleException extends SparseDitException {
  private static final long serialVersionUID = 1L;

  /** What is wrong with the schedule. */
  public enum Reason {
    /** A number out of range, or a list of another length than the steps. */
    INVALID,
    /** An override for a site that the bundle does not have. */
    UNKNOWN_SITE,
    /** A site plans warm or re-uses a plan before its first cold plan. */
    NO_PLAN_YET,
    /** Plans are to be re-used, but the bundle's state does not hold them: compile for re-use. */
    PLAN_NOT_KEPT
  }

  private final Reason reason;

  ScheduleException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  /** What is wrong with the schedule. */
  public Reason reason() {
    return reason;
  }
}
