package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.rules.match.Pattern.AttributeCondition;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Compares the attributes of a node with what a pattern says of them. */
final class AttributeMatcher {
  private final Bindings bindings;
  private final ValueFacts facts;

  AttributeMatcher(Bindings bindings, ValueFacts facts) {
    this.bindings = bindings;
    this.facts = facts;
  }

  /**
   * Checks a condition and binds its capture.
   *
   * @return what is wrong; empty if nothing is
   */
  Optional<String> mismatch(AttributeCondition condition, Node node) {
    Optional<Attribute> attribute = node.attribute(condition.name());
    if (condition instanceof AttributeCondition.Absent) {
      return attribute.isEmpty()
          ? Optional.empty()
          : Optional.of("attribute '" + condition.name() + "' is present");
    }
    Optional<Datum> found = attribute.flatMap(Datum::of);
    if (attribute.isPresent() && found.isEmpty()) {
      return Optional.of("attribute '" + condition.name() + "' is not a number, string or list");
    }
    return condition instanceof AttributeCondition.Capture capture
        ? capture(capture, found, node)
        : oneOf((AttributeCondition.OneOf) condition, found, node);
  }

  private Optional<String> capture(
      AttributeCondition.Capture capture, Optional<Datum> found, Node node) {
    Optional<Datum> datum = found.or(capture::fallback).or(() -> reversal(node, capture.name()));
    capture.optionalChoice().ifPresent(c -> bindings.take(c, datum.isPresent() ? 0 : 1));
    if (datum.isEmpty()) {
      return capture.optionalChoice().isPresent()
          ? Optional.empty()
          : Optional.of("attribute '" + capture.name() + "' is absent");
    }
    Optional<Bindings.Content> bound = bindings.get(capture.slot());
    if (bound.isEmpty()) {
      bindings.set(capture.slot(), new Bindings.Known(datum.get()));
      return Optional.empty();
    }
    return bound.get() instanceof Bindings.Known known && known.datum().matches(datum.get())
        ? Optional.empty()
        : Optional.of("attribute '" + capture.name() + "' differs from its other occurrence");
  }

  private Optional<String> oneOf(AttributeCondition.OneOf oneOf, Optional<Datum> found, Node node) {
    Optional<Datum> datum = found.or(oneOf::fallback).or(() -> reversal(node, oneOf.name()));
    if (datum.isPresent()) {
      Datum actual = oneOf.axis() ? fromEnd(datum.get(), node) : datum.get();
      for (Datum wanted : oneOf.data()) {
        if (actual.matches(oneOf.axis() ? fromEnd(wanted, node) : wanted)) {
          return Optional.empty();
        }
      }
    }
    String wanted =
        oneOf.data().size() == 1 ? oneOf.data().get(0).toString() : "one of " + oneOf.data();
    return Optional.of(
        "attribute '"
            + oneOf.name()
            + "' is "
            + datum.map(Datum::toString).orElse("absent")
            + ", not "
            + wanted);
  }

  /** The permutation that an absent {@code perm} of Transpose means. */
  private Optional<Datum> reversal(Node node, String attribute) {
    if (!node.is("Transpose") || !attribute.equals("perm")) {
      return Optional.empty();
    }
    Optional<List<Dim>> shape = node.input(0).flatMap(facts::shape);
    if (shape.isEmpty()) {
      return Optional.empty();
    }
    List<Datum> perm = new ArrayList<>();
    for (int i = shape.get().size() - 1; i >= 0; i--) {
      perm.add(Datum.of(i));
    }
    return Optional.of(new Datum.Items(perm));
  }

  /** An axis counted from the end, where the rank of the first input is known. */
  private Datum fromEnd(Datum axis, Node node) {
    Optional<List<Dim>> shape = node.input(0).flatMap(facts::shape);
    return axis instanceof Datum.Int i && i.value() >= 0 && shape.isPresent()
        ? Datum.of(i.value() - shape.get().size())
        : axis;
  }
}
