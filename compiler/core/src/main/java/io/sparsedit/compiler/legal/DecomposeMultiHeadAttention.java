package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Writes ONNX Runtime's multi-head attention as matrix products around a softmax.
 *
 * <pre>
 *   before   y = com.microsoft.MultiHeadAttention(q, k, v, bias, key_padding_mask, attention_bias)
 *   after    q4, k4, v4 = Transpose(Reshape(q + b_q)), Transpose(Reshape(k + b_k)), ...
 *            z = MatMul(Mul(q4, sqrt(s)), Transpose(Mul(k4, sqrt(s))))
 *            y = Reshape(Transpose(MatMul(Softmax(z + attention_bias + padding), v4)))
 * </pre>
 *
 * q is [B,S,H*D], k and v too or [B,H,L,D]; or k is [B,L,H,2,D] with both packed; or q is
 * [B,S,H,3,D] with all three. The padding is {@code mask_filter_value} where {@code
 * key_padding_mask}, [B,L] or [B,S,L], is 0, or behind as many keys as it says, [B]. A node with
 * another mask, with a cache of past keys, or that is {@code unidirectional} is left.
 */
final class DecomposeMultiHeadAttention implements Pass<EngineModel> {
  private static final int BIAS = 3;
  private static final int PADDING = 4;
  private static final int ADDED = 5;
  private static final float MASKED = -10_000;

  @Override
  public String name() {
    return "decompose MultiHeadAttention";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      if (Microsoft.is(node, "MultiHeadAttention")
          && new Rewrite(node, new Emit(node, model.model().opset()), model.facts()).apply()) {
        changed++;
      }
    }
    return changed;
  }

  /** The rewrite of one node. */
  private record Rewrite(Node node, Emit emit, ShapeTable facts) {
    private static final int FLAT = 3;
    private static final int HEADS_FIRST = 4;
    private static final int PACKED = 5;

    /** Ranks of the mask of padding. */
    private static final int LENGTHS = 1;

    private static final int KEYS = 2;
    private static final int PAIRS = 3;

    boolean apply() {
      DataType type = facts.elementType(node.requiredInput(0));
      long heads = node.intAttribute("num_heads", 0);
      int rank = rank(0);
      OptionalLong last = size(0, rank - 1);
      if (!type.isFloating()
          || heads <= 0
          || last.isEmpty()
          || !isPlain()
          || (rank != FLAT && rank != PACKED)
          || !isPaddingKnown()) {
        return false;
      }
      long width = rank == FLAT ? last.getAsLong() / heads : last.getAsLong();
      Value query = rank == FLAT ? split(plus(0, 0, heads * width), heads) : part(0, 0);
      Value key = keys(heads, width);
      Value value = values(heads, width);
      float said = node.floatAttribute("scale", 0);
      double scale = said == 0 ? 1 / Math.sqrt((double) width) : said;
      Value root = emit.real("scale", Math.sqrt(scale), type);
      Value turned = emit.transpose(emit.node("Mul", key, root), 0, 1, 3, 2);
      Value scores = emit.node("MatMul", emit.node("Mul", query, root), turned);
      if (node.input(ADDED).isPresent()) {
        scores = emit.node("Add", scores, node.input(ADDED).get());
      }
      if (node.input(PADDING).isPresent()) {
        Value kept = kept(node.input(PADDING).get(), key);
        Value masked = emit.real("masked", node.floatAttribute("mask_filter_value", MASKED), type);
        Value padding = emit.node("Where", kept, emit.real("zero", 0, type), masked);
        scores = emit.node("Add", scores, padding);
      }
      Value result = emit.node("MatMul", emit.softmax(scores), value);
      emit.replace(List.of(emit.reshape(emit.transpose(result, 0, 2, 1, 3), 0, 0, -1)));
      return true;
    }

    /** Nothing of the past, all tokens see all, and packed projections have no biases. */
    private boolean isPlain() {
      boolean past = false;
      for (int i = ADDED + 1; i < node.inputCount(); i++) {
        past |= node.input(i).isPresent();
      }
      for (int i = 1; i < node.outputs().size(); i++) {
        past |= !node.output(i).isUnused();
      }
      boolean packed = rank(0) == PACKED || (node.input(1).isPresent() && rank(1) == PACKED);
      return !past
          && node.intAttribute("unidirectional", 0) == 0
          && !(packed && node.input(BIAS).isPresent());
    }

    private int rank(int input) {
      return node.input(input).flatMap(facts::shape).map(List::size).orElse(0);
    }

    private OptionalLong size(int input, int axis) {
      Optional<List<Dim>> shape = node.input(input).flatMap(facts::shape);
      return shape.isPresent() && axis >= 0 && axis < shape.get().size()
          ? shape.get().get(axis).constant()
          : OptionalLong.empty();
    }

    private Value keys(long heads, long width) {
      if (rank(0) == PACKED) {
        return part(0, 1);
      }
      if (rank(1) == PACKED) {
        return part(1, 0);
      }
      return rank(1) == HEADS_FIRST
          ? node.requiredInput(1)
          : split(plus(1, heads * width, 2 * heads * width), heads);
    }

    private Value values(long heads, long width) {
      if (rank(0) == PACKED) {
        return part(0, 2);
      }
      if (rank(1) == PACKED) {
        return part(1, 1);
      }
      return rank(2) == HEADS_FIRST
          ? node.requiredInput(2)
          : split(plus(2, 2 * heads * width, Long.MAX_VALUE), heads);
    }

    /** An input with its part of the bias. */
    private Value plus(int input, long start, long end) {
      Value value = node.requiredInput(input);
      return node.input(BIAS)
          .map(bias -> emit.node("Add", value, emit.slice(bias, 0, start, end)))
          .orElse(value);
    }

    /** [B,S,H*D] as [B,H,S,D]. */
    private Value split(Value value, long heads) {
      return emit.transpose(emit.reshape(value, 0, 0, heads, -1), 0, 2, 1, 3);
    }

    /** One of those packed as [B,S,H,N,D], as [B,H,S,D]. */
    private Value part(int input, long index) {
      Value one =
          emit.node(
              "Gather", node.requiredInput(input), emit.constant("part", Tensor.scalar(index)));
      Emit.owner(one).setAttribute("axis", 3);
      return emit.transpose(one, 0, 2, 1, 3);
    }

    /** Lengths are one number for each element of the batch; there are longer vectors, too. */
    private boolean isPaddingKnown() {
      int rank = rank(PADDING);
      if (rank != LENGTHS) {
        return node.input(PADDING).isEmpty() || rank == KEYS || rank == PAIRS;
      }
      Optional<List<Dim>> lengths = node.input(PADDING).flatMap(facts::shape);
      Optional<List<Dim>> query = node.input(0).flatMap(facts::shape);
      return lengths.isPresent()
          && query.isPresent()
          && lengths.get().get(0).equals(query.get().get(0));
    }

    /** Whether a key is none of the padding, [B,1,1,L] or [B,1,S,L]. */
    private Value kept(Value mask, Value key) {
      if (rank(PADDING) != LENGTHS) {
        Value kept = emit.cast(mask, DataType.BOOL);
        return rank(PADDING) == KEYS ? emit.unsqueeze(kept, 1, 2) : emit.unsqueeze(kept, 1);
      }
      Value positions = emit.range(emit.size(key, 2));
      Value lengths = emit.cast(emit.unsqueeze(mask, 1, 2, 3), DataType.INT64);
      return emit.node("Less", positions, lengths);
    }
  }
}
