package io.sparsedit.compiler.shape;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The result of {@link ShapeInference}: what is known of every value of a model at the time of the
 * inference, subgraphs and the bodies of called functions included. For a function that is called
 * more than once it is what holds in all calls.
 */
public final class ShapeTable implements ValueFacts {
  /** Tensors up to this many elements are given out as constants. */
  private static final long MAX_CONSTANT_ELEMENTS = 1 << 16;

  /**
   * A node one of whose outputs has no known rank.
   *
   * @param node the node
   * @param reason why
   */
  public record Unknown(Node node, String reason) {
    @Override
    public String toString() {
      return node + ": " + reason;
    }
  }

  /**
   * A value whose declaration in the model is at odds with what its node computes. The latter
   * counts.
   *
   * @param value the value
   * @param derived what the node computes
   * @param declared what the model says
   */
  public record Contradiction(Value value, String derived, String declared) {
    @Override
    public String toString() {
      return value + " is " + derived + ", but declared as " + declared;
    }
  }

  private final Map<Value, Fact> facts;
  private final List<Unknown> unknowns;
  private final List<Unknown> invalid;
  private final List<Contradiction> contradictions;
  private final ConstantSource source;

  ShapeTable(
      Map<Value, Fact> facts,
      List<Unknown> unknowns,
      List<Unknown> invalid,
      List<Contradiction> contradictions,
      ConstantSource source) {
    this.facts = facts;
    this.unknowns = unknowns;
    this.invalid = invalid;
    this.contradictions = contradictions;
    this.source = source;
  }

  /** The nodes with an output of unknown rank, in order, each with the reason. */
  public List<Unknown> unknowns() {
    return unknowns;
  }

  /**
   * The node that is to blame for a value whose rank is not known: the first one on the way to it
   * that is not understood, or that gives no shape though the shapes of its inputs are known. Empty
   * if the rank is known, or if nothing computes the value.
   */
  public Optional<Unknown> whyUnknown(Value value) {
    if (shape(value).isPresent() || value.producer().isEmpty()) {
      return Optional.empty();
    }
    Map<Node, Unknown> open = new HashMap<>();
    unknowns.forEach(unknown -> open.put(unknown.node(), unknown));
    Value last = value;
    Optional<Unknown> blamed = Optional.empty();
    while (shape(last).isEmpty() && last.producer().isPresent()) {
      Unknown unknown = open.remove(last.producer().get());
      if (unknown == null) {
        return blamed;
      }
      blamed = Optional.of(unknown);
      Optional<Value> before =
          unknown.node().presentInputs().stream()
              .filter(input -> shape(input).isEmpty() && input.producer().isPresent())
              .findFirst();
      if (before.isEmpty()) {
        return blamed;
      }
      last = before.get();
    }
    return blamed;
  }

  /**
   * The nodes that break their operator's own rules, in order, each with the reason: what they
   * compute is not known, whatever the model declares of it.
   */
  public List<Unknown> invalid() {
    return invalid;
  }

  /** The values that the model declares wrongly. */
  public List<Contradiction> contradictions() {
    return contradictions;
  }

  @Override
  public DataType elementType(Value value) {
    return fact(value).type();
  }

  @Override
  public Optional<List<Dim>> shape(Value value) {
    return Optional.ofNullable(fact(value).shape()).map(Shape::dims);
  }

  @Override
  public Optional<Tensor> constant(Value value) {
    Fact fact = fact(value);
    Tensor tensor = fact.tensor();
    if (tensor == null) {
      return Optional.ofNullable(fact.value()).flatMap(Partial::tensor);
    }
    if (tensor.elementCount() > MAX_CONSTANT_ELEMENTS) {
      return Optional.empty();
    }
    return tensor.isExternal() ? source.read(tensor) : Optional.of(tensor);
  }

  @Override
  public Optional<List<Dim>> elements(Value value) {
    Fact fact = fact(value);
    Optional<Partial> partial = Optional.ofNullable(fact.value());
    if (partial.isEmpty() && Partial.fits(fact.type(), sizes(fact))) {
      partial = constant(value).flatMap(Partial::of);
    }
    return partial
        .filter(p -> p.rank() <= 1 && p.type() != DataType.BOOL)
        .flatMap(Partial::integers)
        .filter(dims -> dims.stream().noneMatch(Dim::readsData));
  }

  private static long[] sizes(Fact fact) {
    return Optional.ofNullable(fact.shape())
        .flatMap(Shape::sizes)
        .orElse(new long[] {Long.MAX_VALUE});
  }

  private Fact fact(Value value) {
    Fact fact = facts.get(value);
    if (fact != null) {
      return fact;
    }
    // An initializer that came after the inference.
    boolean input = value.graph().inputs().contains(value);
    return value.constant().filter(t -> !input).map(Fact::of).orElse(Fact.NOTHING);
  }
}
