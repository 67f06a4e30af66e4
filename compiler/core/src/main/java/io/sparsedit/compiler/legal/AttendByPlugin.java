package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.pass.Pass;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Lets SparseDiT's kernel compute attention that was left dense.
 *
 * <pre>
 *   before   o = MatMul(Softmax(Add(MatMul(Mul(q, a), Mul(kT, a)), bias)), v)      bias: [B,1,1,T]
 *   after    o = sparsedit.BlockSparseAttention(q, k, v, [B,H,0], [B,H,0], [0,S], [0,T], 1,
 *                    key_bias, action = DENSE; site = one of its own, scale = a * a)
 * </pre>
 *
 * The plan is one segment of all tokens; with the action DENSE, a constant, the kernel does not
 * read it. The same numbers up to rounding; a batch element without any key gives 0, as exporters'
 * guards have it, or the mean of the values, as large finite numbers have it ({@link FiniteFill}).
 * TensorRT 10.6's fused attention is slower, most of all under a mask and where queries and keys
 * differ in number (docs/tensorrt-measured.md). The portable model stays as it is.
 */
final class AttendByPlugin implements Pass<EngineModel> {
  private static final String DOMAIN = "sparsedit";
  private static final String ATTENTION = "BlockSparseAttention";
  private static final String SITE = "site";

  private final DenseSites sites;

  AttendByPlugin(DenseSites sites) {
    this.sites = sites;
  }

  @Override
  public String name() {
    return "attend by plugin";
  }

  @Override
  public int run(EngineModel model) {
    Graph graph = model.model().graph();
    long first = freeSite(graph);
    int changed = 0;
    for (Node node : graph.nodeList()) {
      if (node.isAttached() && node.is("MatMul")) {
        Optional<DenseSite> site = DenseSite.of(node, model).filter(sites::take);
        if (site.isPresent()) {
          rewrite(site.get(), first + changed, model);
          changed++;
        }
      }
    }
    return changed;
  }

  private void rewrite(DenseSite site, long index, EngineModel model) {
    Model whole = model.model();
    Emit emit = new Emit(site.product(), whole.opset());
    Value order = emit.constant("natural_order", ints(site, 0));
    int[] all = new int[Math.toIntExact(site.batch() * site.heads())];
    Arrays.fill(all, 1);
    Value keys = site.keys(emit);
    Value values = site.values();
    Optional<Value> bias = site.mask().map(mask -> row(site, mask, emit, model));
    if (bias.isPresent()) {
      DenseSite.Mask mask = site.mask().orElseThrow();
      if (!new FiniteFill(model.facts()).isAbsent(mask)) {
        FiniteFill.Exact exact = FiniteFill.exact(emit, mask, bias.get(), values);
        bias = Optional.of(exact.bias());
        values = exact.values();
      }
    }
    List<Value> inputs = new ArrayList<>(List.of(site.query(), keys, values, order, order));
    inputs.add(emit.constant("query_offsets", ints(site, 2, 0, (int) site.tokens())));
    inputs.add(emit.constant("key_offsets", ints(site, 2, 0, (int) site.keyTokens())));
    inputs.add(
        emit.constant("keep", Tensor.ofInts(new long[] {site.batch(), site.heads(), 1, 1}, all)));
    bias.ifPresent(inputs::add);
    // Sites' actions are an input of the model; this one has its own.
    inputs.add(
        emit.constant("dense", Tensor.ofInts(new long[] {index + 1}, new int[(int) index + 1])));
    whole.opsets().putIfAbsent(DOMAIN, 1L);
    Node node = whole.graph().insertBefore(site.product(), DOMAIN, ATTENTION, "", inputs);
    node.setAttribute(SITE, index);
    node.setAttribute("scale", (float) site.scale());
    node.setAttribute("layout", "BHSD");
    node.setAttribute("compensate", 0);
    node.setAttribute("plugin_namespace", DOMAIN);
    node.setAttribute("plugin_version", Integer.toString(sites.version()));
    Value result = node.addOutput(whole.graph().freshName(site.product().output().name()));
    long[] dims = site.dims().stream().mapToLong(Long::longValue).toArray();
    result.setType(ValueType.TensorType.of(site.type(), dims));
    emit.replace(List.of(result));
    if (node.name().isEmpty()) {
      node.setName(result.name());
    }
  }

  /** A number that no site has. */
  private static long freeSite(Graph graph) {
    return graph.nodeList().stream()
            .filter(node -> node.domain().equals(DOMAIN))
            .mapToLong(node -> node.intAttribute(SITE, -1))
            .max()
            .orElse(-1)
        + 1;
  }

  /** The same so many numbers for each head. */
  private static Tensor ints(DenseSite site, int count, int... numbers) {
    int heads = Math.toIntExact(site.batch() * site.heads());
    int[] all = new int[heads * count];
    for (int i = 0; i < all.length; i++) {
      all[i] = numbers[i % count];
    }
    return Tensor.ofInts(new long[] {site.batch(), site.heads(), count}, all);
  }

  /** The mask as f32 [B,1,1,T] with one number for each key, as it stands in the graph. */
  private static Value row(DenseSite site, DenseSite.Mask mask, Emit emit, EngineModel model) {
    KeyBias bias = new KeyBias(model.facts());
    Value row = bias.row(emit, mask.value());
    DataType type = model.facts().elementType(mask.value());
    if (mask instanceof DenseSite.Mask.Choice choice) {
      Value kept = emit.real("kept", 0, DataType.FLOAT);
      Value dropped = emit.real("dropped", choice.instead(), DataType.FLOAT);
      row =
          choice.keeps()
              ? emit.node("Where", row, kept, dropped)
              : emit.node("Where", row, dropped, kept);
      type = DataType.FLOAT;
    }
    return bias.whole(emit, row, type, site.batch(), site.keyTokens());
  }
}
