package io.sparsedit.passes;

import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.passes.qk.JoinedNorms;

/**
 * Normalises Q and K each by itself where a model normalises both in one tensor.
 *
 * <pre>
 *   before   q, k = Split(Norm(qk)) { axis = 2 }      qk [B,S,2,H,D]
 *   after    q', k' = Split(qk) { axis = 2 }
 *            q = Norm(q'), k = Norm(k')
 * </pre>
 *
 * So that the norm is one of Q and one of K, and goes into one node with the rotary embedding.
 */
final class SplitJoinedNorms implements Pass<Compilation> {
  @Override
  public String name() {
    return "split joined norms";
  }

  @Override
  public int run(Compilation compilation) {
    if (compilation.sites().isEmpty()) {
      return 0;
    }
    DataFlow flow = new DataFlow(compilation.model().graph(), compilation.facts());
    return new JoinedNorms(compilation.model().graph(), compilation.facts())
        .split(compilation.model().opsets(), flow::isFixed);
  }
}
