package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * Dense attention, under a mask of keys maybe, as exporters and the other passes write it.
 *
 * <pre>
 *   s = MatMul(Mul(q, a), Mul(Transpose(k, 0 1 3 2), b))      q: [B,H,S,D]   k, v: [B,H,T,D]
 *   t = Mul(s, c)     or   Add(Mul(s, c), bias)     or   Where(mask, Mul(s, c), -inf)
 *   p = Softmax(t)               and then   Where(IsNaN(p), 0, p)
 *   o = MatMul(p, v)             with Casts anywhere between the products
 * </pre>
 *
 * @param product the second product
 * @param query [B,H,S,D], without its factor
 * @param key [B,H,T,D], or [B,H,D,T] if it is {@code turned}, without its factor
 * @param turned whether the keys are given as the product takes them
 * @param scale all factors' product
 * @param mask what decides which keys count; empty: all do
 * @param dims B, H, S and D
 * @param keyTokens T
 * @param type of queries, keys, values and the result
 */
record DenseSite(
    Node product,
    Value query,
    Value key,
    boolean turned,
    double scale,
    Optional<Mask> mask,
    List<Long> dims,
    long keyTokens,
    DataType type) {
  private static final int RANK = 4;

  /** Smaller biases than this leave nothing of a key's weight. */
  static final double NOTHING = -1e4;

  private static final List<Long> TURN = List.of(0L, 1L, 3L, 2L);
  private static final List<Long> TURN_TOKENS_FIRST = List.of(0L, 2L, 3L, 1L);
  private static final List<Long> TURN_FLAT = List.of(0L, 2L, 1L);

  /** What decides which keys count. */
  sealed interface Mask {
    /** Added to the scores. */
    record Bias(Value value) implements Mask {}

    /** Scores of keys where it is not {@code keeps} are replaced. */
    record Choice(Value value, boolean keeps, double instead) implements Mask {}

    /** What is the same for all queries and heads. */
    Value value();
  }

  long batch() {
    return dims.get(0);
  }

  long heads() {
    return dims.get(1);
  }

  long tokens() {
    return dims.get(2);
  }

  long headDim() {
    return dims.get(3);
  }

  Value values() {
    return product.requiredInput(1);
  }

  /** The site whose second product a node is, if it is one and the graph fixes its sizes. */
  static Optional<DenseSite> of(Node product, EngineModel model) {
    return new Reader(product, model).read();
  }

  /** A value with the factor that was found in front of it. */
  private record Scaled(Value value, double factor) {}

  /** Goes from the second product up. */
  private record Reader(Node product, EngineModel model) {
    Optional<DenseSite> read() {
      Optional<Value> weights = unguarded(product.requiredInput(0));
      Optional<Node> softmax =
          weights.flatMap(Value::producer).filter(node -> GuardAfterProduct.isSoftmax(node, model));
      Optional<Value> scores = softmax.map(node -> node.requiredInput(0));
      Optional<Node> masking = scores.flatMap(this::beforeCasts).flatMap(Value::producer);
      return masking
          .flatMap(this::masked)
          .or(() -> scores.flatMap(value -> site(value, Optional.empty())));
    }

    private ShapeTable facts() {
      return model.facts();
    }

    /** What a value is computed from by Casts alone that nobody else reads. */
    private Optional<Value> beforeCasts(Value value) {
      Value at = value;
      while (isPrivate(at)) {
        Optional<Node> cast = at.producer().filter(node -> node.is("Cast"));
        if (cast.isEmpty()) {
          return Optional.of(at);
        }
        at = cast.get().requiredInput(0);
      }
      return Optional.empty();
    }

    private static boolean isPrivate(Value value) {
      return value.uses().size() == 1 && !value.isGraphOutput();
    }

    /** The softmax's result, of which rows of NaN are zero maybe. */
    private Optional<Value> unguarded(Value weights) {
      Optional<Value> value = beforeCasts(weights);
      Optional<Node> guard = value.flatMap(Value::producer).filter(where -> where.is("Where"));
      if (guard.isEmpty()) {
        return value;
      }
      Value inside = guard.get().requiredInput(2);
      boolean only =
          inside.uses().size() == 2
              && !inside.isGraphOutput()
              && isPrivate(guard.get().requiredInput(0));
      return only && GuardAfterProduct.isGuard(guard.get(), model)
          ? Optional.of(inside)
          : Optional.empty();
    }

    private Optional<DenseSite> masked(Node node) {
      if (node.is("Add")) {
        for (int i = 0; i < 2; i++) {
          Optional<DenseSite> site =
              site(node.requiredInput(i), Optional.of(new Mask.Bias(node.requiredInput(1 - i))));
          if (site.isPresent()) {
            return site;
          }
        }
      }
      if (node.is("Where")) {
        for (int i = 1; i <= 2; i++) {
          OptionalDouble instead = scalar(node.requiredInput(3 - i));
          if (instead.isPresent() && instead.getAsDouble() <= NOTHING) {
            return site(
                node.requiredInput(i),
                Optional.of(new Mask.Choice(node.requiredInput(0), i == 1, instead.getAsDouble())));
          }
        }
      }
      return Optional.empty();
    }

    private Optional<DenseSite> site(Value scores, Optional<Mask> mask) {
      double scale = 1;
      Optional<Value> at = beforeCasts(scores);
      Optional<Scaled> inner = at.flatMap(this::factor);
      while (inner.isPresent()) {
        scale *= inner.get().factor();
        at = beforeCasts(inner.get().value());
        inner = at.flatMap(this::factor);
      }
      Optional<Node> first = at.flatMap(Value::producer).filter(node -> node.is("MatMul"));
      if (first.isEmpty() || !mask.map(Mask::value).stream().allMatch(new KeyBias(facts())::is)) {
        return Optional.empty();
      }
      Scaled query = stripped(first.get().requiredInput(0));
      Scaled turned = stripped(first.get().requiredInput(1));
      Optional<List<Long>> dims =
          facts().fixedShape(query.value()).filter(d -> fits(d, query.value(), turned.value()));
      if (dims.isEmpty()) {
        return Optional.empty();
      }
      List<Long> keyDims = turnedBack(facts().fixedShape(turned.value()).orElseThrow());
      Optional<Scaled> straight = beforeTurning(turned.value(), keyDims).map(this::stripped);
      Scaled key = straight.orElse(new Scaled(turned.value(), 1));
      double factors = scale * query.factor() * turned.factor() * key.factor();
      return Optional.of(
              new DenseSite(
                  product,
                  query.value(),
                  key.value(),
                  straight.isEmpty(),
                  factors,
                  mask,
                  dims.get(),
                  keyDims.get(2),
                  facts().elementType(product.output())))
          .filter(site -> factors > 0 && factors < Float.MAX_VALUE);
    }

    /** With the last two axes exchanged. */
    private static List<Long> turnedBack(List<Long> dims) {
      return List.of(dims.get(0), dims.get(1), dims.get(3), dims.get(2));
    }

    /** Whether shapes and types are those of attention. */
    private boolean fits(List<Long> dims, Value query, Value key) {
      DataType type = facts().elementType(product.output());
      Value values = product.requiredInput(1);
      Optional<List<Long>> keys =
          facts().fixedShape(key).filter(d -> d.size() == RANK).map(Reader::turnedBack);
      return dims.size() == RANK
          && keys.filter(
                  d ->
                      d.get(0).equals(dims.get(0))
                          && d.get(1).equals(dims.get(1))
                          && d.get(3).equals(dims.get(3)))
              .isPresent()
          && facts().fixedShape(values).equals(keys)
          && facts().fixedShape(product.output()).filter(dims::equals).isPresent()
          && type.isFloating()
          && facts().elementType(query) == type
          && facts().elementType(key) == type
          && facts().elementType(values) == type;
    }

    /** A value that is another one times a positive number, or divided by it. */
    private Optional<Scaled> factor(Value value) {
      Optional<Node> node = value.producer().filter(n -> n.is("Mul") || n.is("Div"));
      if (node.isEmpty()) {
        return Optional.empty();
      }
      boolean divides = node.get().is("Div");
      for (int i = divides ? 1 : 0; i < 2; i++) {
        OptionalDouble number = scalar(node.get().requiredInput(i));
        if (number.isPresent() && number.getAsDouble() > 0) {
          double factor = divides ? 1 / number.getAsDouble() : number.getAsDouble();
          return Optional.of(new Scaled(node.get().requiredInput(1 - i), factor));
        }
      }
      return Optional.empty();
    }

    /** Without factors in front of it. */
    private Scaled stripped(Value value) {
      Scaled at = new Scaled(value, 1);
      Optional<Scaled> inner = factor(value);
      while (inner.isPresent() && sameShape(inner.get().value(), value)) {
        at = new Scaled(inner.get().value(), at.factor() * inner.get().factor());
        inner = factor(at.value());
      }
      return at;
    }

    /** Keys [B,H,T,D] of which others were made by exchanging the last two axes. */
    private Optional<Value> beforeTurning(Value turned, List<Long> dims) {
      Optional<Node> node = turned.producer();
      if (node.filter(n -> turns(n, TURN)).isPresent()) {
        return Optional.of(node.get().requiredInput(0));
      }
      // As dynamo writes it: Reshape(Transpose(Reshape(k, [B*H,S,D]), 0 2 1), [B,H,D,S]).
      return node.filter(n -> n.is("Reshape"))
          .flatMap(n -> n.requiredInput(0).producer())
          .filter(n -> turns(n, TURN_FLAT))
          .flatMap(n -> n.requiredInput(0).producer())
          .filter(
              n ->
                  n.is("Reshape")
                      && facts().fixedShape(n.output()).filter(folded(dims)::equals).isPresent())
          .map(n -> n.requiredInput(0))
          .filter(keys -> facts().fixedShape(keys).filter(dims::equals).isPresent());
    }

    /** Heads beside one another, [B*H,T,D]. */
    private static List<Long> folded(List<Long> dims) {
      return List.of(dims.get(0) * dims.get(1), dims.get(2), dims.get(3));
    }

    private boolean sameShape(Value one, Value other) {
      return facts().fixedShape(one).isPresent()
          && facts().fixedShape(one).equals(facts().fixedShape(other));
    }

    private OptionalDouble scalar(Value value) {
      return facts()
          .constant(value)
          .filter(tensor -> tensor.elementCount() == 1)
          .flatMap(Tensor::doubles)
          .map(elements -> OptionalDouble.of(elements[0]))
          .orElse(OptionalDouble.empty());
    }
  }

  /** Whether a node is a transposition by these axes. */
  static boolean turns(Node node, List<Long> perm) {
    return node.is("Transpose") && node.intsAttribute("perm").filter(perm::equals).isPresent();
  }

  /** Keys as [B,H,T,D]. */
  Value keys(Emit emit) {
    if (!turned) {
      return key;
    }
    // TorchScript turns [B,S,H,D] at once: then a plugin can read that.
    return key.producer()
        .filter(node -> turns(node, TURN_TOKENS_FIRST))
        .map(node -> emit.transpose(node.requiredInput(0), 0, 2, 1, 3))
        .orElseGet(() -> emit.transpose(key, 0, 1, 3, 2));
  }
}
