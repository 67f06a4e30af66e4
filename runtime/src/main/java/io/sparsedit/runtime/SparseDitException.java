package io.sparsedit.runtime;

/**
 * Everything that goes wrong in the runtime and that its caller can do something about.
 *
 * <p>The subclass says where the fault lies and so who acts: {@link BundleException}: the files,
 * compile or copy again; {@link BackendException}: the machine or the engine under the runtime;
 * {@link ScheduleException}: the schedule asked for; {@link SessionException}: this call.
 */
public abstract sealed class SparseDitException extends RuntimeException
    permits BundleException, BackendException, ScheduleException, SessionException {
  private static final long serialVersionUID = 1L;

  SparseDitException(String message) {
    super(message);
  }

  SparseDitException(String message, Throwable cause) {
    super(message, cause);
  }
}
