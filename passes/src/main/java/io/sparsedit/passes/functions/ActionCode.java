package io.sparsedit.passes.functions;

/** What a site does at a step: the values of the {@code action} tensor. */
public enum ActionCode {
  /** Dense attention; state is copied through. */
  DENSE(0),
  /** Plan and state are updated; the output is dense. */
  PLAN_DENSE(1),
  /** Plan and state are updated; the output is sparse. */
  PLAN_SPARSE(2),
  /** Sparse by the plan held in state. */
  REUSE_SPARSE(3);

  /** Added to a code: incoming state is ignored, the planner does its first-time work. */
  public static final int COLD = 4;

  /** Number of codes before {@link #COLD} is added. */
  static final int COUNT = 4;

  private final int code;

  ActionCode(int code) {
    this.code = code;
  }

  /** The code with warm state. */
  public int code() {
    return code;
  }

  /** The code that ignores incoming state. */
  public int cold() {
    return code + COLD;
  }
}
