package io.sparsedit.passes;

import io.sparsedit.compiler.fold.FoldConstants;
import io.sparsedit.compiler.pass.Pass;
import java.util.Set;

/**
 * Replaces what does not depend on the inputs by initializers.
 *
 * <pre>
 *   before   s = Sqrt(Div(1, Sqrt(Cast(Slice(Shape(q))))))
 *   after    s = 0.4204...
 * </pre>
 */
final class FoldConstantSubgraphs implements Pass<Compilation> {
  /** Larger results stay computed: tables and index grids would swell the model file. */
  static final long MAX_ELEMENTS = 1024;

  @Override
  public String name() {
    return "fold constants";
  }

  @Override
  public Set<Established> establishes() {
    return Set.of(Established.CONSTANTS_FOLDED);
  }

  @Override
  public int run(Compilation compilation) {
    FoldConstants.Result folded = new FoldConstants(MAX_ELEMENTS).apply(compilation.model());
    return folded.constantNodes()
        + folded.knownValues()
        + folded.computedValues()
        + folded.removedNodes();
  }
}
