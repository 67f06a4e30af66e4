package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.passes.qk.QkFusion;
import io.sparsedit.passes.qk.SizeValues;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Makes the QK-norm and the rotary embedding in front of each sparse site one node.
 *
 * <pre>
 *   before   q = Transpose(ScatterND(... Mul(RmsNorm(x), cos) ...))    k the same
 *            o = sparsedit.Attention(q, k, v)
 *   after    q, k = sparsedit.QkNormRope(xq, xk, q_weight, k_weight, cos, sin)
 *            o = sparsedit.Attention(q, k, v)
 * </pre>
 *
 * An engine gains by it, ONNX Runtime neither gains nor loses; {@link
 * CompileOptions#fuseQkNormRope()} turns it off. Sites that stay dense keep what the exporter
 * wrote.
 */
final class FuseQkNormRope implements Pass<Compilation> {
  @Override
  public String name() {
    return "fuse QK-norm and RoPE";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.SITES_CHOSEN);
  }

  @Override
  public int run(Compilation compilation) {
    if (!compilation.options().fuseQkNormRope()) {
      return 0;
    }
    DataFlow flow = new DataFlow(compilation.model().graph(), compilation.facts());
    QkFusion fusion =
        new QkFusion(
            compilation.model(), compilation.facts(), FindQkNormRope.analysis(compilation, flow));
    List<Site> sites = compilation.sites().stream().filter(Site::sparsify).toList();
    // While the graph is as the analysis saw it.
    List<Set<Value>> content = sites.stream().map(FindQkNormRope::content).toList();
    int fused = 0;
    for (int i = 0; i < sites.size(); i++) {
      Site site = sites.get(i);
      SizeValues sizes = size -> size(size, site.attention(), compilation);
      fused += fusion.fuse(site.attention(), i, site.name(), content.get(i), sizes) ? 1 : 0;
    }
    return fused;
  }

  static Optional<Value> size(Dim size, Node before, Compilation compilation) {
    if (size.isConstant()) {
      return Optional.of(
          before.graph().addConstant("size", Tensor.vector(size.constant().getAsLong())));
    }
    return SizeSource.find(size, before, compilation.facts()).map(s -> s.compute(before));
  }
}
