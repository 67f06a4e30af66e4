package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.passes.qk.QkPreparation;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Gives a site whose number of text tokens follows from a mask room for all of them, so that its
 * sizes follow from shapes: states, plans and engines need that.
 *
 * <pre>
 *   before   i = NonZero(m);  q, k, v = Concat(video, Gather(text, i))      [B,H,V+n,D]
 *            o = Pad(sparsedit.Attention(q, k, v), zeros at the end)        [B,H,V+T,D]
 *   after    key, i = TopK(m ? j : j + T, smallest first)                   j = 0 ... T-1
 *            q, k, v = Concat(video, Gather(text, i))                       [B,H,V+T,D]
 *            keep = Concat(true, key &lt; T)                                [V+T]
 *            o = Where(keep, sparsedit.Attention(q, k, v, keep), 0)
 * </pre>
 *
 * The selected tokens come first, in their order, as before. The others are keys that the mask
 * hides, and their rows become the zeros that the padding was.
 */
final class MakeRoomForSelectedTokens implements Pass<Compilation> {
  private static final int TOKENS = 2;
  private static final int MASK = 3;

  /** The tokens in their new order. */
  private record Order(Value indices, Value selected) {}

  @Override
  public String name() {
    return "make room for selected tokens";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.SITES_CHOSEN);
  }

  @Override
  public int run(Compilation compilation) {
    Map<Node, Order> orders = new HashMap<>();
    List<Site> sites = new ArrayList<>();
    int changed = 0;
    for (Site site : compilation.sites()) {
      Optional<SelectedTokens> selected =
          site.sparsify() ? SelectedTokens.of(site, compilation.facts()) : Optional.empty();
      sites.add(selected.map(tokens -> makeRoom(site, tokens, orders)).orElse(site));
      changed += selected.isPresent() ? 1 : 0;
    }
    if (changed > 0) {
      compilation.graphChanged();
      compilation.setSites(sites);
    }
    return changed;
  }

  private static Site makeRoom(Site site, SelectedTokens tokens, Map<Node, Order> orders) {
    Node attention = site.attention();
    Order order = orders.computeIfAbsent(tokens.nonZero(), node -> order(node, tokens.room()));
    Inserter insert = new Inserter(attention);
    Map<Value, Value> copies = new HashMap<>();
    copies.put(tokens.nonZero().output(), order.indices());
    for (Node node : tokens.between()) {
      copies.put(node.output(), copy(node, copies, attention));
    }
    for (int i = 0; i < MASK; i++) {
      Value old = attention.requiredInput(i);
      attention.setInput(i, copies.getOrDefault(old, old));
    }
    Graph graph = attention.graph();
    Value video = graph.addConstant("kept", allTrue(tokens.fixed()));
    Node join = graph.insertBefore(attention, "", "Concat", "", List.of(video, order.selected()));
    join.setAttribute("axis", 0);
    Value keep = join.addOutput(graph.freshName("keep"));
    attention.setInput(MASK, insert.unsqueeze(keep, 0, 1, 2));
    attention.output().clearType();
    blank(tokens.pad(), attention.output(), keep);
    long count = tokens.fixed() + tokens.room();
    return site.withRoom(Dim.of(count), layout(site, Dim.of(count)))
        .prepared(QkPreparation.UNKNOWN);
  }

  /** All indices [1,T], those that are selected first, and which of them are, [T]. */
  private static Order order(Node nonZero, long room) {
    Inserter insert = new Inserter(nonZero);
    Graph graph = nonZero.graph();
    float[] first = new float[Math.toIntExact(room)];
    float[] last = new float[first.length];
    for (int i = 0; i < first.length; i++) {
      first[i] = i;
      last[i] = room + i;
    }
    Value mask = insert.node("Cast", nonZero.requiredInput(0));
    mask.producer().orElseThrow().setAttribute("to", DataType.BOOL.code());
    Value key =
        insert.node(
            "Where",
            mask,
            graph.addConstant("places", Tensor.ofFloats(new long[] {room}, first)),
            graph.addConstant("places", Tensor.ofFloats(new long[] {room}, last)));
    Node sort =
        graph.insertBefore(
            nonZero, "", "TopK", "", List.of(key, graph.addConstant("room", Tensor.vector(room))));
    sort.setAttribute("largest", 0);
    Value sorted = sort.addOutput(graph.freshName("sorted"));
    Value indices = sort.addOutput(graph.freshName("indices"));
    Value bound = graph.addConstant("bound", Tensor.scalar((float) room));
    return new Order(insert.unsqueeze(indices, 0), insert.node("Less", sorted, bound));
  }

  private static Tensor allTrue(long count) {
    byte[] bytes = new byte[Math.toIntExact(count)];
    Arrays.fill(bytes, (byte) 1);
    return Tensor.raw(DataType.BOOL, new long[] {count}, ByteBuffer.wrap(bytes));
  }

  private static Value copy(Node node, Map<Value, Value> copies, Node before) {
    Graph graph = before.graph();
    List<Value> inputs =
        node.presentInputs().stream().map(input -> copies.getOrDefault(input, input)).toList();
    Node copy = graph.insertBefore(before, node.domain(), node.opType(), "", inputs);
    for (Map.Entry<String, Attribute> attribute : node.attributes().entrySet()) {
      copy.setAttribute(attribute.getKey(), attribute.getValue());
    }
    return copy.addOutput(graph.freshName(node.output().name()));
  }

  /** Zeros where no token was selected, in place of the padding. */
  private static void blank(Node pad, Value attended, Value keep) {
    Inserter insert = new Inserter(pad);
    Value rows = insert.unsqueeze(keep, 0, 1, TOKENS + 1);
    Value zero = pad.graph().addConstant("nothing", Tensor.scalar(0f));
    Value typed = insert.node("CastLike", zero, attended);
    pad.output().replaceAllUsesWith(insert.node("Where", rows, attended, typed));
  }

  private static TokenLayout layout(Site site, Dim count) {
    List<TokenLayout.Part> parts = new ArrayList<>(site.tokens().parts());
    int last = parts.size() - 1;
    Dim grown = count;
    for (TokenLayout.Part before : parts.subList(0, last)) {
      grown = grown.minus(before.tokens());
    }
    parts.set(last, new TokenLayout.Part(parts.get(last).video(), grown));
    return new TokenLayout(parts);
  }
}
