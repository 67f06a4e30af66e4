package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.rules.match.Pattern.AttributeCondition;
import io.sparsedit.compiler.rules.syntax.Span;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Tries one rule at one node, from the root backwards.
 *
 * <p>Works like a small Prolog machine: a list of goals, each a pattern that a value must fit, and
 * a stack of choice points to which it returns, undoing its bindings, where a goal fails. Nothing
 * recurses over the graph, and the number of steps is bounded.
 */
public final class Matcher {
  /** Steps after which an attempt is given up. Attempts on real models take a few hundred. */
  public static final int DEFAULT_MAX_STEPS = 50_000;

  /** Most orders of inputs that are tried at one commutative node. */
  private static final int MAX_ORDERS = 2_000;

  private record Goals(Goal goal, @Nullable Goals rest) {}

  private sealed interface Goal {}

  /** The value must fit the pattern. */
  private record Fit(Pattern pattern, Value value) implements Goal {}

  /** Records a branch. */
  private record Take(int choice, int branch, List<Pattern.Computed> computed) implements Goal {}

  /** Where to go on if what follows fails. */
  private record ChoicePoint(
      int mark, List<List<Goal>> alternatives, int next, @Nullable Goals rest) {}

  private final Rule rule;
  private final Node root;
  private final ValueFacts facts;
  private final int maxSteps;
  private final Bindings bindings;
  private final AttributeMatcher attributes;
  private final DeepestFailure deepest;
  private final Deque<ChoicePoint> choicePoints = new ArrayDeque<>();
  private int steps;

  private Matcher(Rule rule, Node root, ValueFacts facts, int maxSteps) {
    this.rule = rule;
    this.root = root;
    this.facts = facts;
    this.maxSteps = maxSteps;
    this.bindings = new Bindings(rule);
    this.attributes = new AttributeMatcher(bindings, facts);
    this.deepest = new DeepestFailure(rule.span());
  }

  /** Tries the rule at the node. */
  public static Outcome match(Rule rule, Node root, ValueFacts facts) {
    return match(rule, root, facts, DEFAULT_MAX_STEPS);
  }

  /** Tries the rule at the node, in at most so many steps. */
  public static Outcome match(Rule rule, Node root, ValueFacts facts, int maxSteps) {
    Matcher matcher = new Matcher(rule, root, facts, maxSteps);
    return matcher.run();
  }

  private Outcome run() {
    if (root.outputs().isEmpty()) {
      fail(Failure.Stage.STRUCTURE, rule.span(), "the node has no output");
      return failure(false);
    }
    Goals goals = new Goals(new Fit(rule.root(), root.output()), null);
    while (true) {
      boolean good = true;
      while (good && goals != null) {
        if (++steps > maxSteps) {
          deepest.giveUp("given up after " + maxSteps + " steps: the rule fits in too many ways");
          return failure(true);
        }
        Goals rest = goals.rest();
        List<List<Goal>> alternatives = step(goals.goal());
        if (alternatives.isEmpty()) {
          good = false;
        } else {
          if (alternatives.size() > 1) {
            choicePoints.push(new ChoicePoint(bindings.mark(), alternatives, 1, rest));
          }
          goals = prepend(alternatives.get(0), rest);
        }
      }
      if (good && accepted()) {
        return new Outcome(
            Optional.of(new Match(rule, root, bindings, facts)), Optional.empty(), steps, false);
      }
      if (choicePoints.isEmpty()) {
        return failure(false);
      }
      ChoicePoint point = choicePoints.pop();
      bindings.undoTo(point.mark());
      if (point.next() + 1 < point.alternatives().size()) {
        choicePoints.push(
            new ChoicePoint(point.mark(), point.alternatives(), point.next() + 1, point.rest()));
      }
      goals = prepend(point.alternatives().get(point.next()), point.rest());
    }
  }

  private static @Nullable Goals prepend(List<Goal> goals, @Nullable Goals rest) {
    Goals list = rest;
    for (int i = goals.size() - 1; i >= 0; i--) {
      list = new Goals(goals.get(i), list);
    }
    return list;
  }

  // ---- structure --------------------------------------------------------------------------------

  private static final List<List<Goal>> DONE = List.of(List.of());
  private static final List<List<Goal>> FAILED = List.of();

  /** The ways in which a goal can be met, each a list of further goals; none if it cannot. */
  private List<List<Goal>> step(Goal goal) {
    if (goal instanceof Take take) {
      bindings.take(take.choice(), take.branch());
      for (Pattern.Computed computed : take.computed()) {
        bindings.set(computed.slot(), new Bindings.Deferred(computed.value()));
      }
      return DONE;
    }
    Fit fit = (Fit) goal;
    Pattern pattern = fit.pattern();
    Value value = fit.value();
    if (pattern instanceof Pattern.Anything) {
      return DONE;
    }
    if (pattern instanceof Pattern.Variable variable) {
      return variable(variable, value);
    }
    if (pattern instanceof Pattern.Op op) {
      return operator(op, value);
    }
    if (pattern instanceof Pattern.Choice choice) {
      List<List<Goal>> alternatives = new ArrayList<>(choice.branches().size());
      for (int i = 0; i < choice.branches().size(); i++) {
        Pattern.Branch branch = choice.branches().get(i);
        alternatives.add(
            List.of(new Take(choice.id(), i, branch.computed()), new Fit(branch.pattern(), value)));
      }
      return alternatives;
    }
    if (pattern instanceof Pattern.Repeat repeat) {
      return List.of(
          List.of(new Fit(repeat.layer(), value)), List.of(new Fit(repeat.inner(), value)));
    }
    if (pattern instanceof Pattern.Again again) {
      Pattern.Repeat repeat = rule.repeats().get(again.id());
      return repeat == null ? FAILED : List.of(List.of(new Fit(repeat, value)));
    }
    if (pattern instanceof Pattern.Constant constant) {
      return constant(constant, value);
    }
    if (pattern instanceof Pattern.NumberIs number) {
      return number(number, value);
    }
    Pattern.GraphInput input = (Pattern.GraphInput) pattern;
    if (!value.graph().inputs().contains(value)) {
      return mismatch(value, "a graph input");
    }
    return bind(input.slot(), value);
  }

  private List<List<Goal>> variable(Pattern.Variable variable, Value value) {
    Optional<Bindings.Content> content = bindings.get(variable.slot());
    if (content.isPresent()) {
      return bind(variable.slot(), value);
    }
    bindings.unify(variable.slot(), value);
    Pattern definition = rule.definitions().get(variable.slot());
    return definition == null ? DONE : List.of(List.of(new Fit(definition, value)));
  }

  private List<List<Goal>> bind(int slot, Value value) {
    if (bindings.unify(slot, value)) {
      return DONE;
    }
    String name = rule.slotNames().get(slot);
    String other =
        bindings
            .get(slot)
            .map(
                c ->
                    c instanceof Bindings.Bound b
                        ? DeepestFailure.describe(b.value())
                        : "something else")
            .orElse("nothing");
    fail(
        Failure.Stage.STRUCTURE,
        deepest.span(),
        "'"
            + name
            + "' stands for "
            + other
            + " and cannot stand for "
            + DeepestFailure.describe(value)
            + " too");
    return FAILED;
  }

  private List<List<Goal>> constant(Pattern.Constant constant, Value value) {
    Optional<Tensor> tensor = facts.constant(value);
    if (constant.scalar()) {
      if (tensor.flatMap(Datum::ofScalar).isEmpty()) {
        return mismatch(value, "a constant scalar");
      }
    } else if (tensor.isEmpty() && !isInitializer(value)) {
      return mismatch(value, "a constant");
    }
    return bind(constant.slot(), value);
  }

  private static boolean isInitializer(Value value) {
    return value.constant().isPresent() && !value.graph().inputs().contains(value);
  }

  private List<List<Goal>> number(Pattern.NumberIs number, Value value) {
    Optional<Tensor> tensor = facts.constant(value);
    Optional<Datum> scalar = tensor.flatMap(Datum::ofScalar);
    if (tensor.isEmpty() || scalar.isEmpty()) {
      return mismatch(value, "the constant " + number.value());
    }
    double found = scalar.get().number().orElse(Double.NaN);
    return Datum.close(found, number.value(), tolerance(tensor.get().type()))
        ? DONE
        : mismatch(value, "the constant " + number.value());
  }

  /** How far a number of this type may be from the one that was meant. */
  private static double tolerance(DataType type) {
    return switch (type) {
      case FLOAT16 -> 0x1p-10;
      case BFLOAT16 -> 0x1p-7;
      default -> Datum.TOLERANCE;
    };
  }

  private List<List<Goal>> operator(Pattern.Op op, Value value) {
    Optional<Node> producer = value.producer();
    if (producer.isEmpty()
        || !producer.get().opType().equals(op.type())
        || !producer.get().domain().equals(op.domain())) {
      deepest.pointAt(op.span(), bindings.nodes());
      return mismatch(value, op.qualifiedType());
    }
    Node node = producer.get();
    for (AttributeCondition condition : op.attributes()) {
      Optional<String> wrong = attributes.mismatch(condition, node);
      if (wrong.isPresent()) {
        fail(Failure.Stage.STRUCTURE, op.span(), node + ": " + wrong.get());
        return FAILED;
      }
    }
    if (!outputs(op, node, value)) {
      return FAILED;
    }
    List<List<Goal>> alternatives = op.commutative() ? anyOrder(op, node) : inOrder(op, node);
    if (alternatives.isEmpty()) {
      return FAILED;
    }
    bindings.add(node);
    return alternatives;
  }

  private boolean outputs(Pattern.Op op, Node node, Value value) {
    int named = Math.max(1, op.outputs().size());
    if (op.outputs().isEmpty() && value.outputIndex() != 0) {
      fail(
          Failure.Stage.STRUCTURE,
          op.span(),
          value + " is output " + value.outputIndex() + " of " + node + ", not the first");
      return false;
    }
    if (named > node.outputs().size()) {
      fail(Failure.Stage.STRUCTURE, op.span(), node + " has fewer outputs than the rule names");
      return false;
    }
    for (int i = 0; i < op.outputs().size(); i++) {
      if (!bindings.unify(op.outputs().get(i), node.output(i))) {
        fail(
            Failure.Stage.STRUCTURE,
            op.span(),
            value + " is not output " + i + " of " + node + " as the rule says");
        return false;
      }
    }
    for (int i = named; i < node.outputs().size(); i++) {
      if (!node.output(i).isUnused()) {
        fail(
            Failure.Stage.STRUCTURE,
            op.span(),
            "output " + i + " of " + node + " is read, and the rule does not name it");
        return false;
      }
    }
    return true;
  }

  private List<List<Goal>> inOrder(Pattern.Op op, Node node) {
    int count = inputCount(node);
    int args = op.args().size();
    if (op.rest().before()) {
      List<List<Goal>> windows = new ArrayList<>();
      int first = op.rest().after() ? 0 : Math.max(0, count - args);
      for (int offset = first; offset + args <= count; offset++) {
        aligned(op, node, offset).ifPresent(windows::add);
      }
      if (windows.isEmpty()) {
        fail(Failure.Stage.STRUCTURE, op.span(), node + " has too few inputs for the rule");
      }
      return windows;
    }
    if (!op.rest().after() && count > args) {
      fail(
          Failure.Stage.STRUCTURE,
          op.span(),
          node + " has " + count + " inputs, the rule names " + args);
      return FAILED;
    }
    Optional<List<Goal>> goals = aligned(op, node, 0);
    if (goals.isEmpty()) {
      fail(Failure.Stage.STRUCTURE, op.span(), node + " lacks an input that the rule names");
    }
    return goals.map(List::of).orElse(FAILED);
  }

  /** Inputs up to the last one that is present. */
  private static int inputCount(Node node) {
    int count = node.inputCount();
    while (count > 0 && node.input(count - 1).isEmpty()) {
      count--;
    }
    return count;
  }

  private static Optional<List<Goal>> aligned(Pattern.Op op, Node node, int offset) {
    List<Goal> goals = new ArrayList<>();
    for (int i = 0; i < op.args().size(); i++) {
      Pattern.Argument arg = op.args().get(i);
      Optional<Value> input = node.input(offset + i);
      if (arg.optionalChoice().isPresent()) {
        goals.add(0, new Take(arg.optionalChoice().get(), input.isPresent() ? 0 : 1, List.of()));
      } else if (input.isEmpty()) {
        return Optional.empty();
      }
      input.ifPresent(v -> goals.add(new Fit(arg.pattern(), v)));
    }
    return Optional.of(cheapFirst(goals));
  }

  private List<List<Goal>> anyOrder(Pattern.Op op, Node node) {
    List<Value> inputs = node.presentInputs();
    int args = op.args().size();
    if (inputs.size() < args || (inputs.size() > args && op.rest() == Pattern.Rest.NOWHERE)) {
      fail(
          Failure.Stage.STRUCTURE,
          op.span(),
          node + " has " + inputs.size() + " inputs, the rule names " + args);
      return FAILED;
    }
    Set<List<Value>> orders = new LinkedHashSet<>();
    permute(inputs, args, new ArrayList<>(), new boolean[inputs.size()], orders);
    List<List<Goal>> alternatives = new ArrayList<>(orders.size());
    for (List<Value> order : orders) {
      List<Goal> goals = new ArrayList<>();
      for (int i = 0; i < args; i++) {
        goals.add(new Fit(op.args().get(i).pattern(), order.get(i)));
      }
      alternatives.add(cheapFirst(goals));
    }
    return alternatives;
  }

  private static void permute(
      List<Value> inputs, int length, List<Value> prefix, boolean[] used, Set<List<Value>> orders) {
    if (orders.size() >= MAX_ORDERS) {
      return;
    }
    if (prefix.size() == length) {
      orders.add(List.copyOf(prefix));
      return;
    }
    for (int i = 0; i < inputs.size(); i++) {
      if (!used[i]) {
        used[i] = true;
        prefix.add(inputs.get(i));
        permute(inputs, length, prefix, used, orders);
        prefix.remove(prefix.size() - 1);
        used[i] = false;
      }
    }
  }

  /** Goals that fail fast go first, so that a wrong order of inputs is not followed far. */
  private static List<Goal> cheapFirst(List<Goal> goals) {
    List<Goal> sorted = new ArrayList<>(goals.size());
    for (Goal goal : goals) {
      if (isCheap(goal)) {
        sorted.add(goal);
      }
    }
    for (Goal goal : goals) {
      if (!isCheap(goal)) {
        sorted.add(goal);
      }
    }
    return sorted;
  }

  private static boolean isCheap(Goal goal) {
    return goal instanceof Take
        || (goal instanceof Fit fit
            && (fit.pattern() instanceof Pattern.Constant
                || fit.pattern() instanceof Pattern.NumberIs
                || fit.pattern() instanceof Pattern.GraphInput));
  }

  // ---- conditions -------------------------------------------------------------------------------

  private boolean accepted() {
    if (rule.replacement().isPresent()) {
      Optional<String> escape = new EscapeCheck(rule, root, bindings, facts).escape();
      if (escape.isPresent()) {
        fail(Failure.Stage.ESCAPE, rule.span(), escape.get());
        return false;
      }
    }
    Optional<ConditionChecker.Violation> violation =
        new ConditionChecker(bindings, facts).check(rule.conditions());
    if (violation.isPresent()) {
      fail(Failure.Stage.CONDITION, violation.get().span(), violation.get().reason());
      return false;
    }
    return true;
  }

  // ---- failures ---------------------------------------------------------------------------------

  private List<List<Goal>> mismatch(Value value, String wanted) {
    deepest.mismatch(value, wanted, bindings.nodes());
    return FAILED;
  }

  private void fail(Failure.Stage stage, Span where, String why) {
    deepest.fail(stage, where, why, bindings.nodes());
  }

  private Outcome failure(boolean abandoned) {
    return new Outcome(
        Optional.empty(), Optional.of(deepest.failure(rule, root)), steps, abandoned);
  }
}
