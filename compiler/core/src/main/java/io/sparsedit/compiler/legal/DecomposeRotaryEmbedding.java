package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Writes rotary embeddings, those of operator set 23 and ONNX Runtime's own, as slices, products
 * and a concatenation.
 *
 * <pre>
 *   before   y = RotaryEmbedding(x, cos, sin, positions)              x: [B,H,S,D]
 *   after    c, s = Unsqueeze(Gather(cos, positions), 1), Unsqueeze(Gather(sin, positions), 1)
 *            a, b = x[..., :D/2], x[..., D/2:]     or, interleaved, x[..., 0::2], x[..., 1::2]
 *            y = Concat(a * c - b * s, a * s + b * c)
 * </pre>
 *
 * What lies behind {@code rotary_embedding_dim} elements of a head is passed on. ONNX Runtime's
 * operator has its inputs in another order, and may have one position in the place of many: that of
 * the first token. Its packed batches and its {@code scale} are left.
 */
final class DecomposeRotaryEmbedding implements Pass<EngineModel> {
  private static final int FLAT_RANK = 3;

  @Override
  public String name() {
    return "decompose RotaryEmbedding";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      Emit emit = new Emit(node, model.model().opset());
      if (node.is("RotaryEmbedding")) {
        changed += new Rewrite(node, emit, model.facts(), 1, 2, 3).apply() ? 1 : 0;
      } else if (Microsoft.is(node, "RotaryEmbedding")
          && node.floatAttribute("scale", 1) == 1
          && node.intAttribute("is_packed_batching", 0) == 0) {
        changed += new Rewrite(node, emit, model.facts(), 2, 3, 1).apply() ? 1 : 0;
      }
    }
    return changed;
  }

  /** The rewrite of one node; where its inputs are depends on whose operator it is. */
  private record Rewrite(
      Node node, Emit emit, ShapeTable facts, int cosine, int sine, int positions) {
    boolean apply() {
      Value x = node.requiredInput(0);
      int rank = facts.shape(x).map(List::size).orElse(0);
      OptionalLong half = last(node.requiredInput(cosine));
      if (rank < FLAT_RANK || half.isEmpty()) {
        return false;
      }
      long rotated = 2 * half.getAsLong();
      boolean flat = rank == FLAT_RANK;
      Value heads = flat ? split(x, rotated) : x;
      // Tokens stand before heads in [B,S,H,D], behind them in [B,H,S,D].
      long axisOfHeads = flat ? 2 : 1;
      Value cos = emit.unsqueeze(table(cosine, heads, flat), axisOfHeads);
      Value sin = emit.unsqueeze(table(sine, heads, flat), axisOfHeads);
      boolean partial = node.intAttribute("rotary_embedding_dim", 0) > 0;
      Value turned = rotate(partial ? emit.slice(heads, -1, 0, rotated) : heads, cos, sin, rotated);
      if (partial) {
        turned = emit.concat(-1, turned, emit.slice(heads, -1, rotated, Long.MAX_VALUE));
      }
      emit.replace(List.of(flat ? emit.reshape(turned, 0, 0, -1) : turned));
      return true;
    }

    private OptionalLong last(Value value) {
      Optional<List<Dim>> shape = facts.shape(value);
      return shape.isEmpty()
          ? OptionalLong.empty()
          : shape.get().get(shape.get().size() - 1).constant();
    }

    /** [B,S,H*D] as [B,S,H,D]. */
    private Value split(Value x, long rotated) {
      long count = node.intAttribute("num_heads", 0);
      return count > 0 ? emit.reshape(x, 0, 0, count, -1) : emit.reshape(x, 0, 0, -1, rotated);
    }

    /** Cosines or sines of each token, [B,S,R/2]. */
    private Value table(int input, Value heads, boolean flat) {
      Value table = node.requiredInput(input);
      Optional<Value> ids = node.input(positions);
      if (ids.isEmpty()) {
        return table;
      }
      boolean first = facts.shape(ids.get()).map(List::size).orElse(2) == 1;
      Value all = ids.get();
      if (first) {
        Value range = emit.range(emit.size(heads, flat ? 1 : 2));
        all = emit.unsqueeze(emit.node("Add", range, ids.get()), 0);
      }
      return emit.node("Gather", table, all);
    }

    private Value rotate(Value x, Value cos, Value sin, long rotated) {
      boolean interleaved = node.intAttribute("interleaved", 0) != 0;
      Value a = interleaved ? emit.every(x, -1, 0, 2) : emit.slice(x, -1, 0, rotated / 2);
      Value b = interleaved ? emit.every(x, -1, 1, 2) : emit.slice(x, -1, rotated / 2, rotated);
      Value real = emit.node("Sub", emit.node("Mul", a, cos), emit.node("Mul", b, sin));
      Value imaginary = emit.node("Add", emit.node("Mul", a, sin), emit.node("Mul", b, cos));
      if (!interleaved) {
        return emit.concat(-1, real, imaginary);
      }
      Value pairs = emit.concat(-1, emit.unsqueeze(real, -1), emit.unsqueeze(imaginary, -1));
      return emit.reshape(pairs, 0, 0, 0, -1);
    }
  }
}
