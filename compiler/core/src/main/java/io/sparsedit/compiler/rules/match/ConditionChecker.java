package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.rules.match.Condition.DimPattern;
import io.sparsedit.compiler.rules.syntax.Span;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** Checks the conditions of a rule over what an attempt has found. */
final class ConditionChecker {
  /** A condition that does not hold. */
  record Violation(Span span, String reason) {}

  private final Bindings bindings;
  private final ValueFacts facts;
  private final Evaluator evaluator;

  ConditionChecker(Bindings bindings, ValueFacts facts) {
    this.bindings = bindings;
    this.facts = facts;
    this.evaluator = new Evaluator(bindings, facts);
  }

  /** The first condition that does not hold. */
  Optional<Violation> check(List<Condition> conditions) {
    for (Condition condition : conditions) {
      Optional<Violation> violation = check(condition);
      if (violation.isPresent()) {
        return violation;
      }
    }
    return Optional.empty();
  }

  private Optional<Violation> check(Condition condition) {
    if (condition instanceof Condition.ValueIs valueIs) {
      return valueIs(valueIs);
    }
    if (condition instanceof Condition.Holds holds) {
      try {
        if (evaluator.holds(holds.expr())) {
          return Optional.empty();
        }
        Map<String, Datum> names = evaluator.scalars(holds.expr());
        String with =
            names.entrySet().stream()
                .map(e -> e.getKey() + " = " + e.getValue())
                .collect(Collectors.joining(", "));
        String detail = evaluator.whyNot().orElse(with.isEmpty() ? "" : "with " + with);
        return violation(holds.span(), holds.why(), holds.text(), detail);
      } catch (Evaluator.Unknown e) {
        return violation(holds.span(), holds.why(), holds.text(), e.reason());
      }
    }
    if (condition instanceof Condition.When when) {
      try {
        return check(evaluator.holds(when.expr()) ? when.then() : when.otherwise());
      } catch (Evaluator.Unknown e) {
        return violation(when.span(), Optional.empty(), "when", e.reason());
      }
    }
    Condition.Let let = (Condition.Let) condition;
    try {
      bindings.set(let.slot(), new Bindings.Known(evaluator.evaluate(let.value())));
      return Optional.empty();
    } catch (Evaluator.Unknown e) {
      return Optional.of(new Violation(let.span(), "let " + let.name() + ": " + e.reason()));
    }
  }

  private static Optional<Violation> violation(
      Span span, Optional<String> why, String text, String detail) {
    String reason = why.orElse("'" + text + "' does not hold");
    return Optional.of(new Violation(span, detail.isEmpty() ? reason : reason + ": " + detail));
  }

  private Optional<Violation> valueIs(Condition.ValueIs condition) {
    Optional<Bindings.Content> content = bindings.get(condition.slot());
    if (!(content.orElse(null) instanceof Bindings.Bound bound)) {
      return condition.optional()
          ? Optional.empty()
          : violation(
              condition.span(),
              condition.why(),
              condition.text(),
              "'" + condition.name() + "' is absent");
    }
    Value value = bound.value();
    Optional<List<Dim>> shape = facts.shape(value);
    DataType type = facts.elementType(value);
    boolean good = true;
    if (!condition.types().isEmpty()) {
      good = condition.types().contains(type);
    }
    String wanted = "";
    if (condition.dims().isPresent()) {
      // What the names stood for before this shape bound more of them.
      wanted = assignments(condition.dims().get());
      good = good && shape.isPresent() && unify(condition.dims().get(), shape.get());
    }
    if (good) {
      return Optional.empty();
    }
    String found = "%" + value.name() + " is " + facts.describe(value);
    return violation(
        condition.span(),
        condition.why(),
        condition.text(),
        wanted.isEmpty() ? found : found + ", where " + wanted);
  }

  private String assignments(List<DimPattern> dims) {
    StringBuilder text = new StringBuilder();
    for (DimPattern dim : dims) {
      if (dim instanceof DimPattern.Named named
          && bindings.get(named.slot()).orElse(null) instanceof Bindings.Known known) {
        text.append(text.isEmpty() ? "" : ", ")
            .append(named.name())
            .append(" = ")
            .append(known.datum());
      }
    }
    return text.toString();
  }

  private boolean unify(List<DimPattern> patterns, List<Dim> dims) {
    int rest = -1;
    for (int i = 0; i < patterns.size(); i++) {
      if (patterns.get(i) instanceof DimPattern.Rest) {
        rest = i;
      }
    }
    if (rest < 0 ? patterns.size() != dims.size() : patterns.size() - 1 > dims.size()) {
      return false;
    }
    int head = rest < 0 ? patterns.size() : rest;
    for (int i = 0; i < head; i++) {
      if (!unify(patterns.get(i), dims.get(i))) {
        return false;
      }
    }
    for (int i = patterns.size() - 1, d = dims.size() - 1; i > head; i--, d--) {
      if (!unify(patterns.get(i), dims.get(d))) {
        return false;
      }
    }
    return true;
  }

  private boolean unify(DimPattern pattern, Dim dim) {
    if (pattern instanceof DimPattern.Fixed fixed) {
      return dim.constant().isPresent() && dim.constant().getAsLong() == fixed.size();
    }
    if (pattern instanceof DimPattern.Named named) {
      Datum datum = Datum.of(dim);
      Optional<Bindings.Content> content = bindings.get(named.slot());
      if (content.isEmpty()) {
        bindings.set(named.slot(), new Bindings.Known(datum));
        return true;
      }
      if (!(content.get() instanceof Bindings.Known known)) {
        return false;
      }
      boolean bothNumbers = datum instanceof Datum.Int && known.datum() instanceof Datum.Int;
      return known.datum().matches(datum) || (named.lenient() && !bothNumbers);
    }
    return true;
  }
}
