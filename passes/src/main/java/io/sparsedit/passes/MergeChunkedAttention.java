package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.rules.match.Rewriter;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Makes one site of sites that are parts of one attention: some heads each, or some queries.
 *
 * <pre>
 *   before   o = Concat(sparsedit.Attention(q[:, :, :96], k, v),
 *                       sparsedit.Attention(q[:, :, 96:], k, v)) { axis = 2 }
 *   after    o = sparsedit.Attention(q, k, v)
 * </pre>
 *
 * Implementations cut attention to save memory, along heads, queries or the batch. The parts must
 * make up the whole in order.
 */
final class MergeChunkedAttention implements Pass<Compilation> {
  private static final int BATCH_AXIS = 0;
  private static final int HEAD_AXIS = 1;
  private static final int QUERY_AXIS = 2;
  private static final int MASK = 3;

  @Override
  public String name() {
    return "merge chunked attention";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.SITES_RECOGNISED);
  }

  @Override
  public int run(Compilation compilation) {
    Map<Value, Site> byResult = new HashMap<>();
    compilation.sites().forEach(site -> byResult.put(site.attention().output(), site));
    Map<Site, Rewriter.Applied> merged = new HashMap<>();
    List<Site> gone = new ArrayList<>();
    for (Graph graph : Subgraphs.withSelf(compilation.model().graph())) {
      for (Node concat : graph.nodeList()) {
        List<Site> parts = parts(concat, byResult);
        Optional<Rewriter.Applied> whole = merge(concat, parts, compilation.facts());
        if (whole.isPresent()) {
          merged.put(parts.get(0), whole.get());
          gone.addAll(parts.subList(1, parts.size()));
        }
      }
    }
    if (merged.isEmpty()) {
      return 0;
    }
    compilation.graphChanged();
    List<Rewriter.Applied> rewrites = new ArrayList<>();
    for (Site site : compilation.sites()) {
      if (!gone.contains(site)) {
        rewrites.add(merged.getOrDefault(site, site.recognition()));
      }
    }
    compilation.setSites(RecogniseAttention.sites(compilation, rewrites));
    return merged.size();
  }

  /** The sites whose results a Concat joins; none if it joins anything else. */
  private static List<Site> parts(Node concat, Map<Value, Site> byResult) {
    List<Site> parts = new ArrayList<>();
    if (concat.is("Concat") && concat.inputCount() > 1) {
      for (Value input : concat.presentInputs()) {
        Site site = byResult.get(input);
        if (site == null || parts.contains(site)) {
          return List.of();
        }
        parts.add(site);
      }
    }
    return parts;
  }

  private static Optional<Rewriter.Applied> merge(Node concat, List<Site> parts, ValueFacts facts) {
    if (parts.isEmpty() || concat.output().isGraphOutput()) {
      return Optional.empty();
    }
    int axis = Math.floorMod(Math.toIntExact(concat.intAttribute("axis", 0)), 4);
    Node first = parts.get(0).attention();
    for (Site part : parts) {
      if (!part.attention().attributes().equals(first.attributes())
          || part.attention().inputCount() > MASK + 1
          || part.attention().inputCount() != first.inputCount()) {
        return Optional.empty();
      }
    }
    if (axis != BATCH_AXIS && axis != HEAD_AXIS && axis != QUERY_AXIS) {
      return Optional.empty();
    }
    List<AxisParts> wholes = new ArrayList<>();
    for (int i = 0; i < first.inputCount(); i++) {
      int input = i;
      List<Value> values =
          parts.stream().map(part -> part.attention().requiredInput(input)).toList();
      boolean cut = i == 0 || (axis != QUERY_AXIS && i < MASK);
      boolean varies = cut || (i == MASK && varies(values.get(0), axis, facts));
      Optional<AxisParts> whole =
          varies ? AxisParts.joined(values, axis, facts) : AxisParts.same(values, facts);
      if (whole.isEmpty()) {
        return Optional.empty();
      }
      wholes.add(whole.get());
    }
    return Optional.of(rewrite(concat, parts, wholes));
  }

  /** Whether a mask has more than one row, or head, to cut. */
  private static boolean varies(Value mask, int axis, ValueFacts facts) {
    Optional<List<Dim>> shape = facts.shape(mask);
    int place = axis - 4 + shape.map(List::size).orElse(0);
    return shape.isEmpty() || (place >= 0 && !shape.get().get(place).is(1));
  }

  private static Rewriter.Applied rewrite(Node concat, List<Site> parts, List<AxisParts> wholes) {
    List<Node> nodes = new ArrayList<>();
    List<Value> constants = new ArrayList<>();
    List<Rewriter.Replaced> replaced = new ArrayList<>();
    Node first = parts.get(0).attention();
    Node attention =
        concat
            .graph()
            .insertBefore(concat, first.domain(), first.opType(), first.name(), List.of());
    Inserter insert = new Inserter(attention);
    for (Site part : parts) {
      nodes.addAll(part.recognition().nodes());
      constants.addAll(part.recognition().constants());
    }
    for (int i = 0; i < wholes.size(); i++) {
      Value whole = wholes.get(i).build(insert, nodes);
      attention.setInput(i, whole);
    }
    first.attributes().forEach(attention::setAttribute);
    attention.metadata().putAll(first.metadata());
    Value result = attention.addOutput(concat.graph().freshName(concat.output().name()));
    nodes.add(attention);
    Value old = concat.output();
    replaced.add(new Rewriter.Replaced(old, result, old.uses(), false));
    old.type().ifPresent(result::setType);
    old.replaceAllUsesWith(result);
    for (Site part : parts) {
      replaced.addAll(part.recognition().replaced());
    }
    return new Rewriter.Applied(parts.get(0).recognition().match(), nodes, constants, replaced);
  }
}
