package io.sparsedit.passes;

import io.sparsedit.compiler.pass.Pass;
import java.util.Set;

/**
 * Gives the sites that stay dense back to the nodes that the exporter wrote.
 *
 * <pre>
 *   before   o' = sparsedit.Attention(q, k, v)     read by the model
 *            o  = MatMul(Softmax(...), v)          read by nothing
 *   after    o  read by the model
 * </pre>
 *
 * Recognition leaves the exporter's nodes where they are, so that a dense site ends exactly as it
 * came.
 */
final class RestoreDenseSites implements Pass<Compilation> {
  @Override
  public String name() {
    return "restore dense sites";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.SITES_CHOSEN);
  }

  @Override
  public int run(Compilation compilation) {
    int restored = 0;
    for (Site site : compilation.sites()) {
      if (!site.sparsify()) {
        site.recognition().undo();
        restored++;
      }
    }
    return restored;
  }
}
