package io.sparsedit.compiler;

/**
 * The one exception a user sees: bad input, a bad option or a failed check.
 *
 * <p>The message is complete on its own: it names the file, the node where there is one, and what
 * to do about it. It is printed without a stack trace and decides the exit code.
 */
public final class SparsifyException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** What went wrong, in terms of the command line's exit codes. */
  public enum Kind {
    /** Bad input or an operation that failed. */
    FAILURE(1),
    /** A wrong option or argument. */
    USAGE(2),
    /** The verification found an error above its tolerance. */
    OUT_OF_TOLERANCE(3),
    /** The model has no attention site that can be made sparse. */
    NOTHING_TO_SPARSIFY(4),
    /**
     * An engine cannot be built here: no GPU, no fitting driver, no TensorRT, no plugin library.
     */
    NO_GPU(5);

    private final int exitCode;

    Kind(int exitCode) {
      this.exitCode = exitCode;
    }

    /** The process exit code that stands for this kind. */
    public int exitCode() {
      return exitCode;
    }
  }

  private final Kind kind;

  /** An error of the given kind. */
  public SparsifyException(Kind kind, String message) {
    super(message);
    this.kind = kind;
  }

  /** An error of the given kind with the exception that caused it. */
  public SparsifyException(Kind kind, String message, Throwable cause) {
    super(message, cause);
    this.kind = kind;
  }

  /** An error of kind {@link Kind#FAILURE}. */
  public static SparsifyException failure(String message) {
    return new SparsifyException(Kind.FAILURE, message);
  }

  /** An error of kind {@link Kind#USAGE}. */
  public static SparsifyException usage(String message) {
    return new SparsifyException(Kind.USAGE, message);
  }

  /** What went wrong. */
  public Kind kind() {
    return kind;
  }
}
