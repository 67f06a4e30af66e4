package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.pass.Pass;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Lets SparseDiT's kernel compute self-attention that was left dense under a mask of keys.
 *
 * <pre>
 *   before   o = MatMul(Softmax(Add(MatMul(Mul(q, a), Mul(kT, a)), bias)), v)      bias: [B,1,1,S]
 *   after    o = sparsedit.BlockSparseAttention(q, k, v, [B,H,0], [B,H,0], [0,S], [0,S], 1,
 *                    key_bias, action = DENSE; site = one of its own, scale = a * a)
 * </pre>
 *
 * The plan is one segment of all tokens; with the action DENSE, a constant, the kernel does not
 * read it. The same numbers up to rounding; a batch element without any key gives 0, as exporters'
 * guards have it, or the mean of the values, as large finite numbers have it ({@link FiniteFill}).
 * TensorRT 10.6's fused attention takes such a mask at a third of its speed. The portable model
 * stays as it is.
 */
final class AttendByPlugin implements Pass<EngineModel> {
  private static final String DOMAIN = "sparsedit";
  private static final String ATTENTION = "BlockSparseAttention";
  private static final String SITE = "site";

  /** Positions among the operator's inputs. */
  private static final int VALUES = 2;

  private static final int BIAS = 8;

  private final MaskedSites sites;

  AttendByPlugin(MaskedSites sites) {
    this.sites = sites;
  }

  @Override
  public String name() {
    return "attend by plugin";
  }

  @Override
  public int run(EngineModel model) {
    Graph graph = model.model().graph();
    int changed = 0;
    for (Node node : graph.nodeList()) {
      if (node.isAttached() && node.is("MatMul")) {
        Optional<MaskedSite> site =
            MaskedSite.of(node, model).filter(s -> sites.take(s.tokens(), s.headDim(), s.type()));
        if (site.isPresent()) {
          rewrite(site.get(), model);
          changed++;
        }
      }
    }
    return changed;
  }

  private void rewrite(MaskedSite site, EngineModel model) {
    Model whole = model.model();
    Emit emit = new Emit(site.product(), whole.opset());
    long index = freeSite(whole.graph());
    Value order = emit.constant("natural_order", ints(site, 0));
    Value offsets = emit.constant("offsets", ints(site, 2, 0, (int) site.tokens()));
    int[] all = new int[Math.toIntExact(site.batch() * site.heads())];
    Arrays.fill(all, 1);
    Value keep =
        emit.constant("keep", Tensor.ofInts(new long[] {site.batch(), site.heads(), 1, 1}, all));
    Value[] inputs = {
      site.query(),
      site.keys(emit),
      site.values(),
      order,
      order,
      offsets,
      offsets,
      keep,
      row(site, emit, model),
      emit.constant("dense", Tensor.ofInts(new long[] {index + 1}, new int[(int) index + 1]))
    };
    FiniteFill fill = new FiniteFill(model.facts());
    if (!fill.isAbsent(site.mask())) {
      FiniteFill.Exact exact = fill.exact(emit, site, inputs[BIAS], inputs[VALUES]);
      inputs[BIAS] = exact.bias();
      inputs[VALUES] = exact.values();
    }
    whole.opsets().putIfAbsent(DOMAIN, 1L);
    Node node = whole.graph().insertBefore(site.product(), DOMAIN, ATTENTION, "", List.of(inputs));
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
  }

  /** The actions of the model's own sites are an input of it; this one has its own. */
  private static long freeSite(Graph graph) {
    return graph.nodeList().stream()
            .filter(node -> node.domain().equals(DOMAIN))
            .mapToLong(node -> node.intAttribute(SITE, -1))
            .max()
            .orElse(-1)
        + 1;
  }

  /** The same so many numbers for each head. */
  private static Tensor ints(MaskedSite site, int count, int... numbers) {
    int heads = Math.toIntExact(site.batch() * site.heads());
    int[] all = new int[heads * count];
    for (int i = 0; i < all.length; i++) {
      all[i] = numbers[i % count];
    }
    return Tensor.ofInts(new long[] {site.batch(), site.heads(), count}, all);
  }

  /** The mask as f32 [B,1,1,S] with one number for each key, as it stands in the graph. */
  private static Value row(MaskedSite site, Emit emit, EngineModel model) {
    KeyBias bias = new KeyBias(model.facts());
    if (site.mask() instanceof MaskedSite.Mask.Bias added) {
      return bias.whole(
          emit,
          bias.row(emit, added.value()),
          model.facts().elementType(added.value()),
          site.batch(),
          site.tokens());
    }
    MaskedSite.Mask.Choice choice = (MaskedSite.Mask.Choice) site.mask();
    Value kept = emit.real("kept", 0, DataType.FLOAT);
    Value dropped = emit.real("dropped", choice.instead(), DataType.FLOAT);
    Value condition = bias.row(emit, choice.condition());
    Value row =
        choice.keeps()
            ? emit.node("Where", condition, kept, dropped)
            : emit.node("Where", condition, dropped, kept);
    return bias.whole(emit, row, DataType.FLOAT, site.batch(), site.tokens());
  }
}
