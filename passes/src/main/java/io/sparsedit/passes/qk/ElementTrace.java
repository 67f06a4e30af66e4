package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Follows single elements of a tensor back through what moves, negates, adds and multiplies them.
 *
 * <p>Nothing is computed and no size but that of a head must be known: batch, heads and tokens stay
 * symbols. The cost is that of one walk for each lane of a head.
 */
final class ElementTrace {
  private final ValueFacts facts;
  private final Movement movement;
  private final ScatterTrace scatters;
  private final Set<Value> ends;
  private final Map<Element, Step> known = new HashMap<>();

  /**
   * A trace.
   *
   * @param ends values that are not looked into
   */
  ElementTrace(ValueFacts facts, Set<Value> ends) {
    this.facts = facts;
    this.movement = new Movement(facts);
    this.scatters = new ScatterTrace(movement, facts);
    this.ends = ends;
  }

  /**
   * How an element is made.
   *
   * @throws SplitRegionException if that differs between the tokens that it stands for
   */
  Step of(Element element) {
    Step step = known.get(element);
    if (step == null) {
      step = find(element);
      known.put(element, step);
    }
    return step;
  }

  /** Forgets what was found: symbols stand for other ranges from now on. */
  void forget() {
    known.clear();
  }

  private Step find(Element element) {
    Value value = element.value();
    if (ends.contains(value) || value.producer().isEmpty()) {
      return new Step.Opaque();
    }
    Node node = value.producer().get();
    if (node.opType().equals("RotaryEmbedding")) {
      return new RotaryOperator(node, facts).of(element).orElse(new Step.Opaque());
    }
    if (!node.domain().isEmpty()) {
      return new Step.Opaque();
    }
    return switch (node.opType()) {
      case "Add" -> new Step.Sum(operand(node, 0, element), operand(node, 1, element), 1);
      case "Sub" -> new Step.Sum(operand(node, 0, element), operand(node, 1, element), -1);
      case "Neg" -> new Step.Signed(new Element(node.requiredInput(0), element.at()), -1);
      case "Mul" -> ofMul(node, element);
      case "ScatterND", "ScatterElements" ->
          scatters.before(node, element).<Step>map(Step.Same::new).orElse(new Step.Opaque());
      default -> movement.before(element).<Step>map(Step.Same::new).orElse(new Step.Opaque());
    };
  }

  private Element operand(Node node, int input, Element element) {
    return movement.operand(node.requiredInput(input), element);
  }

  private Step ofMul(Node node, Element element) {
    Element left = operand(node, 0, element);
    Element right = operand(node, 1, element);
    Optional<Double> sign = sign(left);
    if (sign.isPresent()) {
      return new Step.Signed(right, sign.get());
    }
    sign = sign(right);
    return sign.isPresent() ? new Step.Signed(left, sign.get()) : new Step.Product(left, right);
  }

  /** 1 or -1, if the element is known to be that. */
  private Optional<Double> sign(Element element) {
    Optional<Tensor> constant = facts.constant(element.value());
    if (constant.isEmpty()) {
      return Optional.empty();
    }
    long[] dims = constant.get().dims();
    long place = 0;
    for (int axis = 0; axis < dims.length; axis++) {
      if (!(element.at().get(axis) instanceof Index.At at) || at.number() >= dims[axis]) {
        return Optional.empty();
      }
      place = place * dims[axis] + at.number();
    }
    Optional<double[]> all = constant.get().doubles();
    if (all.isEmpty()) {
      return Optional.empty();
    }
    double number = all.get()[(int) place];
    return Math.abs(number) == 1 ? Optional.of(number) : Optional.empty();
  }
}
