package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Value;

/** Reads a site's code from the {@code action} tensor. */
final class Action {
  private final Value code;

  /** The code of the calling node's site. */
  Action(Ops ops, Value action) {
    code = ops.named("site_action", ops.gather(action, ops.intAttribute(SparseOps.SITE)));
  }

  private Value withoutCold(Ops ops) {
    return ops.mod(code, ops.i32(ActionCode.COLD));
  }

  /** Whether incoming state is ignored. */
  Value isCold(Ops ops) {
    return ops.less(ops.i32(ActionCode.COLD - 1), code);
  }

  /** Whether this step makes a plan. */
  Value plans(Ops ops) {
    Value mode = withoutCold(ops);
    return ops.or(
        ops.equal(mode, ops.i32(ActionCode.PLAN_DENSE.code())),
        ops.equal(mode, ops.i32(ActionCode.PLAN_SPARSE.code())));
  }

  /** Whether the output is dense attention's. */
  Value isDense(Ops ops) {
    return ops.less(withoutCold(ops), ops.i32(ActionCode.PLAN_SPARSE.code()));
  }
}
