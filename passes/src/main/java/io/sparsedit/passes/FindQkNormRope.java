package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.passes.functions.SparseOps;
import io.sparsedit.passes.qk.QkAnalysis;
import io.sparsedit.passes.qk.QkPreparation;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Says of every site which QK-norm and which rotary position embedding stand in front of Q and K.
 *
 * <pre>
 *   q = Transpose(Rope(RmsNorm(Linear(x))))    preparation: rms over hidden, interleaved rope
 * </pre>
 *
 * The graph stays as it is.
 */
final class FindQkNormRope implements Pass<Compilation> {
  @Override
  public String name() {
    return "find QK-norm and RoPE";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.SITES_CLASSIFIED);
  }

  @Override
  public int run(Compilation compilation) {
    if (compilation.sites().isEmpty()) {
      return 0;
    }
    DataFlow flow = new DataFlow(compilation.model().graph(), compilation.facts());
    QkAnalysis analysis = analysis(compilation, flow);
    List<Site> sites = new ArrayList<>();
    for (Site site : compilation.sites()) {
      QkPreparation preparation = analysis.of(site.query(), site.key(), content(site));
      sites.add(site.prepared(preparation));
    }
    compilation.setSites(sites);
    // Facts about the graph stay true.
    return 0;
  }

  static QkAnalysis analysis(Compilation compilation, DataFlow flow) {
    return new QkAnalysis(
        compilation.model().graph(),
        compilation.facts(),
        compilation.model().opsets(),
        flow::isFixed);
  }

  /**
   * The graph inputs that a site's tokens are made of. Attention passes values on; what queries and
   * keys are made of, positions among others, does not count.
   */
  static Set<Value> content(Site site) {
    Graph graph = site.attention().graph();
    Set<Value> seen = new LinkedHashSet<>();
    Deque<Value> open = new ArrayDeque<>();
    open.add(site.value());
    while (!open.isEmpty()) {
      Value value = open.pop();
      if (!seen.add(value) || value.producer().isEmpty()) {
        continue;
      }
      Node node = value.producer().get();
      if (isCanonical(node)) {
        open.push(node.requiredInput(2));
      } else if (!node.is("Shape") && !node.is("Size")) {
        node.presentInputs().forEach(open::push);
      }
    }
    seen.retainAll(Set.copyOf(graph.inputs()));
    return seen;
  }

  private static boolean isCanonical(Node node) {
    return node.opType().equals("Attention") && node.domain().equals(SparseOps.DOMAIN);
  }
}
