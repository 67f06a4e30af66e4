package io.sparsedit.runtime;

/** What a site does at a step. */
public enum Action {
  /** Dense attention; the state stays as it is. */
  DENSE(0),
  /** The planner updates plan and state, the output is dense. */
  PLAN_DENSE(1),
  /** The planner updates plan and state, the output is sparse by that plan. */
  PLAN_SPARSE(2),
  /** Sparse by the plan held in state. */
  REUSE_SPARSE(3),
  /** As {@link #PLAN_DENSE}, from nothing: incoming state is ignored. */
  PLAN_DENSE_COLD(5),
  /** As {@link #PLAN_SPARSE}, from nothing: incoming state is ignored. */
  PLAN_SPARSE_COLD(6);

  private final int code;

  Action(int code) {
    this.code = code;
  }

  /** The code that the model's {@code action} input takes. */
  public int code() {
    return code;
  }

  /** Whether the planner runs. */
  public boolean plans() {
    return this != DENSE && this != REUSE_SPARSE;
  }

  /** Whether incoming state is ignored. */
  public boolean isCold() {
    return this == PLAN_DENSE_COLD || this == PLAN_SPARSE_COLD;
  }

  /** Whether the attention is sparse. */
  public boolean isSparse() {
    return this == PLAN_SPARSE || this == REUSE_SPARSE || this == PLAN_SPARSE_COLD;
  }
}
