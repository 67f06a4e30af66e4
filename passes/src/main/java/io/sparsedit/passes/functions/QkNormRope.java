package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Function;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A call of {@code QkNormRope}: the norm and the rotary position embedding of Q and K, and the
 * transposition to the order that attention wants, in one pass over both.
 *
 * <p>Dimensions: B batch, H heads, D lanes of a head; Q has Sq tokens and K has Sk, in general S. R
 * rotated lanes, even, and T rotated tokens.
 *
 * <table>
 * <caption>Inputs in this order; what the call does not have is left out</caption>
 * <tr><td>{@code q}, {@code k}</td><td>f16, bf16 or f32, both alike: {@code [B,S,H,D]} or {@code
 *     [B,H,S,D]}, as {@code layout} says</td></tr>
 * <tr><td>{@code q_weight}, {@code k_weight}</td><td>f16, bf16 or f32, {@code [D]} or {@code
 *     [H*D]}, lane d of head h at h*D + d; with {@code scope} hidden always {@code [H*D]}. Weights and
 *     biases of a call are as long as one another; their types are their own</td></tr>
 * <tr><td>{@code q_bias}, {@code k_bias}</td><td>as the weights; with {@code norm} layer only</td>
 *     </tr>
 * <tr><td>{@code cos}, {@code sin}</td><td>f32, {@code [Bt,T,Ht,R]} with Bt 1 or B, Ht 1 or H: one
 *     number for each rotated lane, the two of a pair apart; shared by Q and K</td></tr>
 * </table>
 *
 * <p>Outputs {@code q_out}, {@code k_out}: the type of {@code q}, in the order that {@code
 * output_layout} says. A call for one tensor alone has {@code q}, {@code q_weight}, …, {@code
 * q_out} only, whatever it is.
 *
 * <p>What is computed of each token t of x, Q or K, all in f32:
 *
 * <pre>
 *   norm rms     y[h,d] = x[h,d] / root(mean(x^2)) * weight[h,d]
 *   norm layer   y[h,d] = (x[h,d] - mean(x)) / root(mean((x - mean(x))^2)) * weight[h,d] + bias[h,d]
 *   norm none    y = x
 *   root(m)      max(sqrt(m + epsilon) + root_epsilon, root_floor)
 * </pre>
 *
 * Means are over d with {@code scope} head, over h and d with hidden. Without weight or bias 1 and
 * 0 stand for them. Then, where token t is rotated, for lane d = rotary_start + i with 0 <= i < R:
 *
 * <pre>
 *   rope interleaved   i even: z[h,d] = y[h,d] cos[r,h,i] - y[h,d+1] sin[r,h,i]
 *                      i odd:  z[h,d] = y[h,d] cos[r,h,i] + y[h,d-1] sin[r,h,i]
 *   rope half          i < R/2:  z[h,d] = y[h,d] cos[r,h,i] - y[h,d+R/2] sin[r,h,i]
 *                      i >= R/2: z[h,d] = y[h,d] cos[r,h,i] + y[h,d-R/2] sin[r,h,i]
 * </pre>
 *
 * The row r of the tables is t with {@code rotated} all (T = S) and first, and t - (S - T) with
 * last; other tokens and lanes keep y. T is at most S. Rounding: the inputs are widened to f32, the
 * result is rounded once, to the type of {@code q}; nothing in between is rounded, though many
 * exported graphs round the norm's result. Zero rows need no care: one of epsilon, root_epsilon and
 * root_floor is positive. An attribute that is absent is 0.
 *
 * @param site index of the site
 * @param layout order of the dimensions of the inputs
 * @param outputLayout order of the dimensions of the outputs
 * @param both whether the call is for Q and K; otherwise it is for one of them
 * @param norm the norm
 * @param rope the rotary embedding
 */
public record QkNormRope(
    int site,
    Layout layout,
    Layout outputLayout,
    boolean both,
    Optional<Norm> norm,
    Optional<Rotary> rope)
    implements SparseOp {
  /** The operator's name. */
  public static final String OP_TYPE = "QkNormRope";

  /** STRING: a {@link NormKind}. */
  public static final String NORM = "norm";

  /** STRING: a {@link NormScope}. */
  public static final String SCOPE = "scope";

  /** FLOAT: what is added to the mean of the squares. */
  public static final String EPSILON = "epsilon";

  /** FLOAT: what is added to the root, with {@link #ROOT_FLOOR}; both or neither are there. */
  public static final String ROOT_EPSILON = "root_epsilon";

  /** FLOAT: the least number that is divided by. */
  public static final String ROOT_FLOOR = "root_floor";

  /** STRING: a {@link RopeForm}, or none. */
  public static final String ROPE = "rope";

  /** STRING: a {@link RotatedTokens}. */
  public static final String ROTATED = "rotated";

  /** INT: the first rotated lane of a head. */
  public static final String ROTARY_START = "rotary_start";

  /** STRING: the {@link Layout} of the outputs. */
  public static final String OUTPUT_LAYOUT = "output_layout";

  /** INT: 2 for Q and K, 1 for one of them. With the next two it says which inputs there are. */
  public static final String TENSORS = "tensors";

  /** INT: whether there are weights, 0 or 1. */
  public static final String WEIGHT = "weight";

  /** INT: whether there are biases, 0 or 1. */
  public static final String BIAS = "bias";

  /** The weights of Q's norm. */
  public static final String Q_WEIGHT = "q_weight";

  /** The bias of Q's norm. */
  public static final String Q_BIAS = "q_bias";

  /** The weights of K's norm. */
  public static final String K_WEIGHT = "k_weight";

  /** The bias of K's norm. */
  public static final String K_BIAS = "k_bias";

  /** The cosines. */
  public static final String COS = "cos";

  /** The sines. */
  public static final String SIN = "sin";

  /** Q as attention takes it. */
  public static final String Q_OUT = "q_out";

  /** K as attention takes it. */
  public static final String K_OUT = "k_out";

  private static final int DIM_STEP = 8;
  private static final int MAX_DIM = 256;
  private static final int MAX_HIDDEN = 32768;

  /**
   * Whether the kernel takes such heads; the function takes any.
   *
   * @param heads H
   * @param dim D
   */
  public static boolean takes(long heads, long dim) {
    return dim % DIM_STEP == 0 && dim <= MAX_DIM && heads * dim <= MAX_HIDDEN;
  }

  /**
   * The norm of Q and K.
   *
   * @param kind rms or layer
   * @param scope over what
   * @param guard what keeps it from dividing by zero
   * @param weight whether there are weights
   * @param bias whether there are biases
   */
  public record Norm(
      NormKind kind, NormScope scope, NormGuard guard, boolean weight, boolean bias) {
    public Norm {
      if (kind == NormKind.NONE || (bias && kind != NormKind.LAYER)) {
        throw new IllegalArgumentException("no such norm: " + kind + (bias ? " with bias" : ""));
      }
    }
  }

  /**
   * The rotary embedding of Q and K.
   *
   * @param form which lanes make a pair
   * @param start the first rotated lane
   * @param tokens which tokens are rotated
   */
  public record Rotary(RopeForm form, int start, RotatedTokens tokens) {}

  @Override
  public String opType() {
    return OP_TYPE;
  }

  @Override
  public String overload() {
    List<String> parts = new ArrayList<>();
    parts.add(both ? "qk" : "q");
    norm.ifPresent(
        n -> {
          parts.add(n.kind().attributeValue());
          parts.add(n.scope().attributeValue());
          if (n.guard().guardsRoot()) {
            parts.add("root");
          }
          if (n.weight()) {
            parts.add("weight");
          }
          if (n.bias()) {
            parts.add("bias");
          }
        });
    rope.ifPresent(
        r -> {
          parts.add(r.form().attributeValue());
          parts.add(r.tokens().attributeValue());
        });
    parts.add(layout.overloadPart());
    parts.add(outputLayout.overloadPart());
    return String.join("_", parts);
  }

  /** Q, and K if the call is for both. */
  List<String> tensors() {
    return both ? List.of(SparseOps.Q, SparseOps.K) : List.of(SparseOps.Q);
  }

  @Override
  public List<String> inputs() {
    List<String> inputs = new ArrayList<>(tensors());
    for (String tensor : tensors()) {
      boolean query = tensor.equals(SparseOps.Q);
      if (norm.map(Norm::weight).orElse(false)) {
        inputs.add(query ? Q_WEIGHT : K_WEIGHT);
      }
      if (norm.map(Norm::bias).orElse(false)) {
        inputs.add(query ? Q_BIAS : K_BIAS);
      }
    }
    if (rope.isPresent()) {
      inputs.add(COS);
      inputs.add(SIN);
    }
    return inputs;
  }

  @Override
  public List<String> outputs() {
    return both ? List.of(Q_OUT, K_OUT) : List.of(Q_OUT);
  }

  @Override
  public Map<String, Attribute> attributes() {
    Map<String, Attribute> attributes = new LinkedHashMap<>();
    attributes.put(SparseOps.SITE, new Attribute.IntValue(site));
    attributes.put(SparseOps.LAYOUT, new Attribute.StringValue(layout.name()));
    attributes.put(OUTPUT_LAYOUT, new Attribute.StringValue(outputLayout.name()));
    attributes.put(TENSORS, new Attribute.IntValue(tensors().size()));
    attributes.put(WEIGHT, flag(norm.map(Norm::weight)));
    attributes.put(BIAS, flag(norm.map(Norm::bias)));
    NormKind kind = norm.map(Norm::kind).orElse(NormKind.NONE);
    attributes.put(NORM, new Attribute.StringValue(kind.attributeValue()));
    norm.ifPresent(
        n -> {
          attributes.put(SCOPE, new Attribute.StringValue(n.scope().attributeValue()));
          attributes.put(EPSILON, new Attribute.FloatValue(n.guard().epsilon()));
          if (n.guard().guardsRoot()) {
            attributes.put(ROOT_EPSILON, new Attribute.FloatValue(n.guard().rootEpsilon()));
            attributes.put(ROOT_FLOOR, new Attribute.FloatValue(n.guard().rootFloor()));
          }
        });
    String form = rope.map(r -> r.form().attributeValue()).orElse("none");
    attributes.put(ROPE, new Attribute.StringValue(form));
    rope.ifPresent(
        r -> {
          attributes.put(ROTATED, new Attribute.StringValue(r.tokens().attributeValue()));
          attributes.put(ROTARY_START, new Attribute.IntValue(r.start()));
        });
    attributes.put(
        SparseOps.PLUGIN_NAMESPACE, new Attribute.StringValue(SparseOps.PLUGIN_NAMESPACE_VALUE));
    attributes.put(
        SparseOps.PLUGIN_VERSION, new Attribute.StringValue(SparseOps.PLUGIN_VERSION_VALUE));
    return attributes;
  }

  private static Attribute flag(Optional<Boolean> value) {
    return new Attribute.IntValue(value.orElse(false) ? 1 : 0);
  }

  @Override
  public Function function(long opset) {
    return QkNormRopeFunction.build(this, opset);
  }
}
