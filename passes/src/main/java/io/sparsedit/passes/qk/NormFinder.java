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
import io.sparsedit.passes.functions.NormGuard;
import io.sparsedit.passes.functions.NormKind;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** All norms over the last axis of a graph, by their result. */
final class NormFinder {
  private static final double COUNT_TOLERANCE = 1e-3;

  /** Stands for no guard at all: squares of smaller numbers are 0 in f32. */
  private static final float LEAST_ROOT = 1e-30f;

  /** The count of rules that divide by the root of a sum. */
  private static final double SUM = -1;

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
    boolean sum = count == SUM;
    boolean counted = sum || count == 0 || Math.abs(count - size) <= COUNT_TOLERANCE * size;
    if (!counted || !match.nodes().stream().allMatch(node -> reducesLast(node, dims.get()))) {
      return Optional.empty();
    }
    List<Value> weights =
        Stream.of("weight", "second").flatMap(name -> match.value(name).stream()).toList();
    Optional<Value> bias = match.value("bias");
    if (!weights.stream().allMatch(w -> isNumber(w) || isPerLane(w, size, dims.get()))
        || !bias.map(b -> isPerLane(b, size, dims.get())).orElse(true)) {
      return Optional.empty();
    }
    // sqrt(sum) is sqrt(size) * sqrt(mean).
    double root = sum ? Math.sqrt((double) size) : 1;
    Optional<NormGuard> guard = guard(match, root);
    if (guard.isEmpty()) {
      return Optional.empty();
    }
    NormWeight weight =
        new NormWeight(weights.stream().filter(w -> !isUniform(w, 1)).toList(), 1 / root, size);
    boolean rms = match.rule().name().startsWith("norm.rms");
    return Optional.of(
        new NormMatch(
            output,
            input,
            rms ? NormKind.RMS : NormKind.LAYER,
            guard.get(),
            size,
            Optional.of(weight).filter(w -> !w.isNone()),
            bias.filter(b -> !isUniform(b, 0)),
            match.nodes(),
            Stream.concat(weights.stream(), bias.stream()).anyMatch(this::isWide)));
  }

  private static Optional<NormGuard> guard(Match match, double root) {
    double epsilon = match.requiredNumber("eps") / (root * root);
    double added = match.number("added").orElse(0) / root;
    double least = match.number("least").orElse(0) / root;
    if (!(epsilon >= 0 && added >= 0 && least >= 0)) {
      return Optional.empty();
    }
    if (least <= added) {
      // A root is no less than 0.
      least = 0;
    }
    boolean none = (float) epsilon == 0 && (float) added == 0 && (float) least == 0;
    return Optional.of(
        none
            ? new NormGuard(0, 0, LEAST_ROOT)
            : new NormGuard((float) epsilon, (float) added, (float) least));
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

  private boolean isNumber(Value value) {
    return isFixed.test(value)
        && facts.shape(value).map(dims -> dims.stream().allMatch(dim -> dim.is(1))).orElse(false);
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
