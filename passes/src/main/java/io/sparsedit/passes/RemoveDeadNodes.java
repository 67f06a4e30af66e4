package io.sparsedit.passes;

import io.sparsedit.compiler.pass.Pass;

/** Removes nodes and initializers that nothing reads. */
final class RemoveDeadNodes implements Pass<Compilation> {
  @Override
  public String name() {
    return "remove dead nodes";
  }

  @Override
  public int run(Compilation compilation) {
    return compilation.model().graph().removeDeadNodes();
  }
}
