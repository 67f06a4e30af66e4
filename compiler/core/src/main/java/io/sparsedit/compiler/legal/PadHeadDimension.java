package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Widens heads with zeros to a size that the plugins take: a multiple of 16, at least 32. Many
 * image models have heads of 72 or 88 channels.
 *
 * <pre>
 *   before   plan..., next.c = sparsedit.Svg2Plan(q, k, geometry, state.c, action)
 *            o = sparsedit.BlockSparseAttention(q, k, v, plan..., action)           [B,H,S,72]
 *   after    q2, k2, v2, c2 = Pad(q), Pad(k), Pad(v), Pad(state.c)                  [...,80]
 *            plan..., n2 = sparsedit.Svg2Plan(q2, k2, geometry, c2, action);  next.c = n2[..., :72]
 *            o2 = sparsedit.BlockSparseAttention(q2, k2, v2, plan..., action);  o = o2[..., :72]
 * </pre>
 *
 * Zeros change no product of a query and a key, no distance and no mean, so nothing else changes.
 * The model's inputs, outputs and state keep their sizes. The portable model stays as it is.
 */
public final class PadHeadDimension {
  private static final String DOMAIN = "sparsedit";
  private static final String ATTENTION = "BlockSparseAttention";
  private static final String QK_NORM_ROPE = "QkNormRope";
  private static final String STATE = "state.";
  private static final String NEXT = "next.";

  /** Ends the name of what takes the zeros away again. */
  private static final String CUT = ".cut";

  /** What the kernels take: multiples of this. */
  private static final int GRANULE = 16;

  private static final int LEAST = 32;
  private static final int MOST = 128;
  private static final int RANK = 4;

  private PadHeadDimension() {}

  /** Changes the model; the number of operators whose heads were widened. */
  public static int in(Model model) {
    ValueFacts facts = new EngineModel(model).facts();
    int changed = 0;
    for (Node node : model.graph().nodeList()) {
      if (!node.domain().equals(DOMAIN) || node.opType().equals(QK_NORM_ROPE)) {
        continue;
      }
      OptionalLong size = width(node.requiredInput(0), facts);
      if (size.isPresent() && size.getAsLong() != padded(size.getAsLong())) {
        widen(node, size.getAsLong(), new Emit(node, model.opset()), facts);
        changed++;
      }
    }
    return changed;
  }

  /** The size that takes the place of a size; the same where no plugin takes so much. */
  static long padded(long size) {
    long multiple = Math.max(LEAST, (size + GRANULE - 1) / GRANULE * GRANULE);
    return multiple <= MOST ? multiple : size;
  }

  private static void widen(Node node, long size, Emit emit, ValueFacts facts) {
    Graph graph = node.graph();
    List<Value> inputs = new ArrayList<>();
    boolean activations = true;
    for (int i = 0; i < node.inputCount(); i++) {
      Value input = node.requiredInput(i);
      boolean wide = isWide(input, size, facts);
      // q, k and v come first; then nothing is as wide but state.
      activations &= wide && i < activations(node);
      inputs.add(
          activations || (wide && isState(input)) ? pad(emit, input, padded(size) - size) : input);
    }
    Node wider = graph.insertBefore(node, node.domain(), node.opType(), node.name(), inputs);
    wider.setOverload(node.overload());
    node.setName(node.name() + CUT);
    node.attributes().forEach(wider::setAttribute);
    wider.metadata().putAll(node.metadata());
    List<Value> results = new ArrayList<>();
    for (Value output : node.outputs()) {
      Value wide = wider.addOutput(graph.freshName(output.name()));
      boolean cut = node.opType().equals(ATTENTION) || isNextCentroids(output, size, facts);
      results.add(cut ? emit.slice(wide, RANK - 1, 0, size) : typed(wide, output));
    }
    emit.replace(results);
  }

  private static int activations(Node node) {
    return node.opType().equals("SvgPlan") || node.opType().equals(ATTENTION) ? 3 : 2;
  }

  private static Value typed(Value value, Value like) {
    like.type().ifPresent(value::setType);
    return value;
  }

  private static boolean isState(Value input) {
    return input.producer().isEmpty() && input.name().startsWith(STATE);
  }

  private static boolean isNextCentroids(Value output, long size, ValueFacts facts) {
    return output.name().startsWith(NEXT) && isWide(output, size, facts);
  }

  private static boolean isWide(Value value, long size, ValueFacts facts) {
    DataType type = facts.elementType(value);
    boolean isFloat =
        type == DataType.FLOAT || type == DataType.FLOAT16 || type == DataType.BFLOAT16;
    OptionalLong width = width(value, facts);
    return isFloat && width.isPresent() && width.getAsLong() == size;
  }

  /** The last of four dimensions. */
  private static OptionalLong width(Value value, ValueFacts facts) {
    Optional<List<Dim>> shape = facts.shape(value).filter(dims -> dims.size() == RANK);
    return shape.map(dims -> dims.get(RANK - 1).constant()).orElse(OptionalLong.empty());
  }

  private static Value pad(Emit emit, Value value, long count) {
    return emit.node("Pad", value, emit.ints("widths", 0, 0, 0, 0, 0, 0, 0, count));
  }
}
