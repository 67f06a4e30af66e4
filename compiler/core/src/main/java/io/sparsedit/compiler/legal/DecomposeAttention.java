package io.sparsedit.compiler.legal;

import static io.sparsedit.compiler.ir.DataType.BOOL;
import static io.sparsedit.compiler.ir.DataType.FLOAT;

import io.sparsedit.compiler.ir.Attribute;
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
import java.util.stream.LongStream;

/**
 * Writes the attention operator (operator sets 23 and 24) as matrix products around a softmax.
 *
 * <pre>
 *   before   y = Attention(q, k, v, mask) { scale = s, softcap = c, is_causal = 1 }
 *   after    z = MatMul(Mul(q, sqrt(s)), Transpose(Mul(k, sqrt(s))))
 *            y = MatMul(Softmax(Add(Mul(Tanh(Div(z, c)), c), bias)), v)
 * </pre>
 *
 * where the bias is the mask, and 0 or the smallest finite number where a mask of bools, causality
 * and {@code nonpad_kv_seqlen} let a query see a key or not. A query that sees no key, its biases
 * being -inf included, gives 0, as the operator is defined: {@code Where} behind the product says
 * so, for TensorRT makes one kernel of what comes before it. [B,S,H*D] inputs become [B,H,S,D] and
 * the output turns back; grouped queries repeat the heads of keys and values; {@code past_key} and
 * {@code past_value} come before keys and values. The scores are given out, too: plain, capped,
 * with the bias, or after the softmax.
 */
final class DecomposeAttention implements Pass<EngineModel> {
  private static final int MASK = 3;
  private static final int PAST_KEY = 4;
  private static final int PAST_VALUE = 5;
  private static final int NONPAD = 6;
  private static final int SCORES = 3;
  private static final int CAPPED = 1;
  private static final int MASKED = 2;
  private static final int AFTER_SOFTMAX = 3;
  private static final int FLAT_RANK = 3;

  @Override
  public String name() {
    return "decompose Attention";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      if (node.is("Attention") && new Rewrite(node, model.model().opset(), model.facts()).apply()) {
        changed++;
      }
    }
    return changed;
  }

  /** The rewrite of one node. */
  private static final class Rewrite {
    private final Node node;
    private final Emit emit;
    private final ShapeTable facts;
    private final DataType type;
    private final int rank;

    Rewrite(Node node, long opset, ShapeTable facts) {
      this.node = node;
      this.emit = new Emit(node, opset);
      this.facts = facts;
      this.type = facts.elementType(node.requiredInput(0));
      this.rank = rank(node.requiredInput(0));
    }

    boolean apply() {
      OptionalLong queryHeads = heads(0, "q_num_heads");
      OptionalLong keyHeads = heads(1, "kv_num_heads");
      if (!type.isFloating() || rank < FLAT_RANK || queryHeads.isEmpty() || keyHeads.isEmpty()) {
        return false;
      }
      Value query = headsFirst(node.requiredInput(0), queryHeads.getAsLong());
      Value newKey = headsFirst(node.requiredInput(1), keyHeads.getAsLong());
      Value newValue = headsFirst(node.requiredInput(2), keyHeads.getAsLong());
      Value key = node.input(PAST_KEY).map(past -> emit.concat(2, past, newKey)).orElse(newKey);
      Value value =
          node.input(PAST_VALUE).map(past -> emit.concat(2, past, newValue)).orElse(newValue);

      long group = queryHeads.getAsLong() / keyHeads.getAsLong();
      Value scores = scores(query, repeat(key, keyHeads.getAsLong(), group));
      Value capped = cap(scores);
      Masking masking = new Masking(query, key);
      Value biased = masking.bias().map(b -> emit.node("Add", capped, b)).orElse(capped);
      DataType precision = DataType.ofCode((int) node.intAttribute("softmax_precision", 0));
      DataType exact = precision.isFloating() ? precision : type;
      Value weights = emit.cast(emit.softmax(emit.cast(biased, type, exact)), exact, type);
      Value result = emit.node("MatMul", weights, repeat(value, keyHeads.getAsLong(), group));
      if (!node.name().isEmpty()) {
        Emit.owner(result).setName(node.name() + ".MatMul");
      }
      Optional<Value> sees = masking.sees();
      if (sees.isPresent()) {
        result = orZero(sees.get(), result);
      }
      if (rank == FLAT_RANK) {
        result = emit.reshape(emit.transpose(result, 0, 2, 1, 3), 0, 0, -1);
      }
      Value given =
          switch ((int) node.intAttribute("qk_matmul_output_mode", 0)) {
            case AFTER_SOFTMAX ->
                isUsed(SCORES) && sees.isPresent() ? orZero(sees.get(), weights) : weights;
            case MASKED -> biased;
            case CAPPED -> capped;
            default -> scores;
          };
      emit.replace(List.of(result, key, value, given));
      return true;
    }

    private boolean isUsed(int output) {
      return output < node.outputs().size() && !node.output(output).isUnused();
    }

    private int rank(Value value) {
      return facts.shape(value).map(List::size).orElse(0);
    }

    /** The size of an axis, where it is a number. */
    private OptionalLong size(Value value, int axis) {
      Optional<List<Dim>> shape = facts.shape(value);
      return shape.isPresent() && axis < shape.get().size()
          ? shape.get().get(axis).constant()
          : OptionalLong.empty();
    }

    private OptionalLong heads(int input, String attribute) {
      long said = node.intAttribute(attribute, 0);
      return said > 0 ? OptionalLong.of(said) : size(node.requiredInput(input), 1);
    }

    /** [B,S,H*D] as [B,H,S,D]. */
    private Value headsFirst(Value value, long heads) {
      return rank == FLAT_RANK
          ? emit.transpose(emit.reshape(value, 0, 0, heads, -1), 0, 2, 1, 3)
          : value;
    }

    /** Each head so many times in a row. */
    private Value repeat(Value value, long heads, long times) {
      if (times <= 1) {
        return value;
      }
      long[] indices = LongStream.range(0, heads * times).map(i -> i / times).toArray();
      Value repeated = emit.node("Gather", value, emit.ints("heads", indices));
      Emit.owner(repeated).setAttribute("axis", 1);
      return repeated;
    }

    private Value scores(Value query, Value key) {
      Value scale = scale(query);
      Value turned = emit.transpose(emit.node("Mul", key, scale), 0, 1, 3, 2);
      return emit.node("MatMul", emit.node("Mul", query, scale), turned);
    }

    /** The root of the scale, 1 / sqrt(D) by default. */
    private Value scale(Value query) {
      Optional<Attribute> said = node.attribute("scale");
      int lastAxis = rank - 1;
      OptionalLong width = size(node.requiredInput(0), lastAxis);
      if (said.isPresent()) {
        return emit.real("scale", Math.sqrt(node.floatAttribute("scale", 1)), type);
      }
      if (rank > FLAT_RANK && width.isPresent()) {
        return emit.real("scale", 1 / Math.sqrt(Math.sqrt((double) width.getAsLong())), type);
      }
      Value size = emit.cast(emit.size(query, FLAT_RANK), FLOAT);
      Value power = emit.real("exponent", -0.25, FLOAT);
      return emit.cast(emit.node("Pow", size, power), FLOAT, type);
    }

    private Value cap(Value scores) {
      float cap = node.floatAttribute("softcap", 0);
      if (cap <= 0) {
        return scores;
      }
      Value limit = emit.real("softcap", cap, type);
      return emit.node("Mul", emit.node("Tanh", emit.node("Div", scores, limit)), limit);
    }

    private Value orZero(Value condition, Value value) {
      return emit.node("Where", condition, value, emit.real("zero", 0, type));
    }

    /** Which query sees which key. */
    private final class Masking {
      private final Optional<Value> added;
      private final Optional<Value> allowed;
      private final boolean someSeesNone;

      Masking(Value query, Value key) {
        Optional<Value> mask = node.input(MASK).map(Rewrite.this::padded);
        boolean bools = mask.isPresent() && facts.elementType(node.requiredInput(MASK)) == BOOL;
        boolean causal = node.intAttribute("is_causal", 0) != 0;
        added = bools ? Optional.empty() : mask;
        Optional<Value> kept = bools ? mask : Optional.empty();
        if (causal) {
          kept = Optional.of(and(kept, causal(query, key)));
        }
        if (node.input(NONPAD).isPresent()) {
          Value lengths = emit.unsqueeze(node.input(NONPAD).get(), 1, 2, 3);
          kept = Optional.of(and(kept, emit.node("Less", positions(key), lengths)));
        }
        allowed = kept;
        someSeesNone = mask.isPresent() || node.input(NONPAD).isPresent();
      }

      /** What is added to the scores, if something is. */
      Optional<Value> bias() {
        Optional<Value> chosen = allowed.map(Rewrite.this::choose);
        return added.isPresent() && chosen.isPresent()
            ? Optional.of(emit.node("Add", added.get(), chosen.get()))
            : added.or(() -> chosen);
      }

      /** Whether a query sees any key, [..., S_q, 1]; empty where each does, as in causality. */
      Optional<Value> sees() {
        if (!someSeesNone) {
          return Optional.empty();
        }
        Optional<Value> counted = allowed;
        if (added.isPresent()) {
          Value finite = emit.node("Not", emit.node("IsInf", added.get()));
          counted = Optional.of(and(allowed, finite));
        }
        return counted.map(
            keys -> emit.cast(emit.reduce("ReduceMax", emit.cast(keys, FLOAT), -1), BOOL));
      }

      private Value and(Optional<Value> one, Value other) {
        return one.map(value -> emit.node("And", value, other)).orElse(other);
      }
    }

    /** A mask for fewer keys than there are: the others do not count. */
    private Value padded(Value mask) {
      OptionalLong have = size(mask, rank(mask) - 1);
      OptionalLong want = size(node.requiredInput(1), rank - 2);
      boolean shorter =
          node.input(PAST_KEY).isEmpty()
              && have.isPresent()
              && want.isPresent()
              && have.getAsLong() > 1
              && have.getAsLong() < want.getAsLong();
      if (!shorter) {
        return mask;
      }
      long[] pads = new long[2 * rank(mask)];
      pads[pads.length - 1] = want.getAsLong() - have.getAsLong();
      boolean bools = facts.elementType(mask) == BOOL;
      Value filler =
          bools
              ? emit.constant("filler", Tensor.scalar(false))
              : emit.real("filler", Emit.lowest(type), type);
      return emit.node("Pad", mask, emit.ints("pads", pads), filler);
    }

    /** 0 where it is true, else the smallest finite number. */
    private Value choose(Value allowed) {
      return emit.node(
          "Where",
          allowed,
          emit.real("zero", 0, type),
          emit.real("masked", Emit.lowest(type), type));
    }

    /** Which key a query may see: those up to its own place, [S_q, S_k]. */
    private Value causal(Value query, Value key) {
      Value rows = emit.unsqueeze(emit.range(emit.size(query, 2)), 1);
      if (node.input(PAST_KEY).isPresent()) {
        rows = emit.node("Add", rows, emit.size(node.input(PAST_KEY).get(), 2));
      } else if (node.input(NONPAD).isPresent()) {
        Value lengths = emit.unsqueeze(node.input(NONPAD).get(), 1, 2, 3);
        rows = emit.node("Add", rows, emit.node("Sub", lengths, emit.size(query, 2)));
      }
      return emit.node("LessOrEqual", positions(key), rows);
    }

    /** 0, 1, 2 and so on, as many as there are keys. */
    private Value positions(Value key) {
      return emit.range(emit.size(key, 2));
    }
  }
}
