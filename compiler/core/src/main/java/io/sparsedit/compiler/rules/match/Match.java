package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * A place where a rule matches, with everything that its names stand for there. It describes the
 * graph as it was when the match was found.
 */
public final class Match {
  private final Rule rule;
  private final Node root;
  private final List<Node> nodes;
  private final Bindings bindings;
  private final Evaluator evaluator;

  Match(Rule rule, Node root, Bindings bindings, ValueFacts facts) {
    this.rule = rule;
    this.root = root;
    this.nodes = List.copyOf(bindings.nodes());
    this.bindings = bindings;
    this.evaluator = new Evaluator(bindings, facts);
  }

  /** The rule. */
  public Rule rule() {
    return rule;
  }

  /** The node that the last statement of the rule matched. */
  public Node root() {
    return root;
  }

  /** The matched nodes, root first. */
  public List<Node> nodes() {
    return nodes;
  }

  /** The value of a name; empty if it is absent here, or not a value. */
  public Optional<Value> value(String name) {
    return content(name)
        .flatMap(c -> c instanceof Bindings.Bound b ? Optional.of(b.value()) : Optional.empty());
  }

  /** The value of a name that is always present. */
  public Value requiredValue(String name) {
    return value(name).orElseThrow(() -> missing(name, "value"));
  }

  /** What a dimension, a let, a captured attribute or a constant scalar is here. */
  public Optional<Datum> datum(String name) {
    int slot = rule.slotNames().indexOf(name);
    if (slot < 0 || bindings.get(slot).isEmpty()) {
      return Optional.empty();
    }
    try {
      return Optional.of(evaluator.evaluate(new Expr.Slot(slot, name, true)));
    } catch (Evaluator.Unknown e) {
      return Optional.empty();
    }
  }

  /** The number of a let, an attribute, a constant scalar or a known dimension. */
  public OptionalDouble number(String name) {
    Optional<Datum> datum = datum(name);
    return datum.isPresent() ? datum.get().number() : OptionalDouble.empty();
  }

  /** The number of a name that always has one. */
  public double requiredNumber(String name) {
    return number(name).orElseThrow(() -> missing(name, "number"));
  }

  /** The dimension that a name in a shape stands for, where it is not a number. */
  public Optional<Dim> symbolicDim(String name) {
    return datum(name)
        .flatMap(d -> d instanceof Datum.Size s ? Optional.of(s.value()) : Optional.empty());
  }

  /** The tags of the alternatives that a statement took. */
  public List<String> tags(String statement) {
    List<String> taken = new ArrayList<>();
    for (Expr.TaggedBranch tagged : rule.tags().getOrDefault(statement, List.of())) {
      if (bindings.isTaken(tagged.branch())) {
        taken.add(tagged.tag());
      }
    }
    return taken;
  }

  /** Evaluates an expression of the rule's replacement. */
  Datum evaluate(Expr expr) throws Evaluator.Unknown {
    return evaluator.evaluate(expr);
  }

  Bindings bindings() {
    return bindings;
  }

  private Optional<Bindings.Content> content(String name) {
    int slot = rule.slotNames().indexOf(name);
    return slot < 0 ? Optional.empty() : bindings.get(slot);
  }

  private IllegalStateException missing(String name, String what) {
    return new IllegalStateException(
        "match of " + rule + " at " + root + " has no " + what + " '" + name + "'");
  }

  @Override
  public String toString() {
    return rule + " at " + root;
  }
}
