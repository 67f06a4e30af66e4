package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.rules.RuleEngine;
import io.sparsedit.compiler.rules.RuleSet;
import io.sparsedit.compiler.rules.match.Match;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import io.sparsedit.passes.functions.NormKind;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;

/** All norms over the last axis of a graph, by their result. */
final class NormFinder {
  private static final double COUNT_TOLERANCE = 1e-3;

  private final ValueFacts facts;
  private final Predicate<Value> isFixed;

  /**
   * A finder.
   *
   * @param isFixed whether a value depends on no input: weights do not
   */
  NormFinder(ValueFacts facts, Predicate<Value> isFixed) {
    this.facts = facts;
    this.isFixed = isFixed;
  }

  Map<Value, NormMatch> find(Graph graph, RuleSet rules, Map<String, Long> opsets) {
    Map<Value, NormMatch> norms = new HashMap<>();
    for (Match match : new RuleEngine(rules).findMatches(graph, facts, opsets)) {
      norm(match).ifPresent(norm -> norms.put(norm.output(), norm));
    }
    return norms;
  }

  private Optional<NormMatch> norm(Match match) {
    Value output = match.root().output();
    Value input = match.requiredValue("x");
    Optional<List<Dim>> dims = facts.shape(input);
    if (dims.isEmpty() || dims.get().isEmpty() || !facts.shape(output).equals(dims)) {
      return Optional.empty();
    }
    Dim last = dims.get().get(dims.get().size() - 1);
    if (!last.isConstant()) {
      return Optional.empty();
    }
    long size = last.constant().getAsLong();
    double count = match.number("count").orElse(0);
    boolean counted = count == 0 || Math.abs(count - size) <= COUNT_TOLERANCE * size;
    if (!counted || !match.nodes().stream().allMatch(node -> reducesLast(node, dims.get()))) {
      return Optional.empty();
    }
    Optional<Value> weight = match.value("weight");
    Optional<Value> bias = match.value("bias");
    if (!weight.map(w -> isPerLane(w, size, dims.get())).orElse(true)
        || !bias.map(b -> isPerLane(b, size, dims.get())).orElse(true)) {
      return Optional.empty();
    }
    boolean rms = match.rule().name().startsWith("norm.rms");
    return Optional.of(
        new NormMatch(
            output,
            input,
            rms ? NormKind.RMS : NormKind.LAYER,
            (float) match.requiredNumber("eps"),
            size,
            weight.filter(w -> !isUniform(w, 1)),
            bias.filter(b -> !isUniform(b, 0)),
            weight.map(this::isWide).orElse(false) || bias.map(this::isWide).orElse(false)));
  }

  /** Whether a reduction among the nodes is one over the last axis alone. */
  private boolean reducesLast(Node node, List<Dim> dims) {
    if (!node.opType().startsWith("Reduce")) {
      return true;
    }
    Optional<List<Dim>> reduced = facts.shape(node.output());
    int last = dims.size() - 1;
    return reduced.isPresent()
        && reduced.get().size() == dims.size()
        && reduced.get().get(last).is(1)
        && reduced.get().subList(0, last).equals(dims.subList(0, last));
  }

  /** {@code [N]}, or {@code [H,N]} and {@code [H,1,N]} in front of the N lanes of H heads. */
  private boolean isPerLane(Value value, long size, List<Dim> dims) {
    if (!isFixed.test(value)) {
      return false;
    }
    Optional<List<Dim>> shape = facts.shape(value);
    if (shape.isEmpty() || shape.get().isEmpty() || shape.get().size() > dims.size()) {
      return false;
    }
    int rank = shape.get().size();
    if (!shape.get().get(rank - 1).is(size)) {
      return false;
    }
    int wide = 0;
    for (int i = 0; i < rank - 1; i++) {
      Dim dim = shape.get().get(i);
      if (!dim.is(1)) {
        wide++;
        if (!dim.isConstant() || !dim.equals(dims.get(dims.size() - rank + i))) {
          return false;
        }
      }
    }
    return wide <= 1;
  }

  private boolean isWide(Value value) {
    List<Dim> dims = facts.shape(value).orElse(List.of());
    return dims.subList(0, Math.max(0, dims.size() - 1)).stream().anyMatch(dim -> !dim.is(1));
  }

  private boolean isUniform(Value value, double number) {
    Optional<Tensor> constant = facts.constant(value);
    Optional<double[]> all = constant.flatMap(Tensor::doubles);
    if (all.isEmpty()) {
      return false;
    }
    for (double element : all.get()) {
      if (element != number) {
        return false;
      }
    }
    return true;
  }
}
