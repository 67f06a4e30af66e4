package io.sparsedit.passes;

import io.sparsedit.compiler.ir.ModelCopy;
import io.sparsedit.compiler.pass.Pass;

/**
 * Keeps a copy of the graph as the rules see it, to answer questions about it later.
 *
 * <pre>
 *   before   graph
 *   after    graph, and a copy that no later pass changes
 * </pre>
 */
final class KeepRuleInput implements Pass<Compilation> {
  @Override
  public String name() {
    return "keep rule input";
  }

  @Override
  public int run(Compilation compilation) {
    compilation.setRuleInput(RuleInput.of(compilation.model(), ModelCopy.of(compilation.model())));
    return 0;
  }
}
