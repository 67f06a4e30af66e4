package io.sparsedit.compiler.ir;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Checks that a model is well formed: every input is defined before its use, here or in an
 * enclosing graph; every name is defined once; producers and use lists agree with the nodes;
 * functions see nothing but their inputs and attributes.
 *
 * <p>What a reader accepts passes, so a problem after a pass is that pass's fault.
 */
public final class GraphVerifier {
  private final List<String> problems = new ArrayList<>();

  /** Defined at the point that the walk has reached, by name; enclosing graphs included. */
  private final Map<String, Value> visible = new HashMap<>();

  /** What the use lists of all values say; each input of a node takes its entry out. */
  private final Map<Value.Use, Value> registeredUses = new LinkedHashMap<>();

  private final Set<String> attributesInScope = new HashSet<>();
  private final boolean inFunction;

  private GraphVerifier(Optional<Function> function) {
    inFunction = function.isPresent();
    function.ifPresent(
        f -> {
          attributesInScope.addAll(f.attributeNames());
          attributesInScope.addAll(f.attributeDefaults().keySet());
        });
  }

  /** All problems of the model, none if it is well formed. */
  public static List<String> problems(Model model) {
    GraphVerifier main = new GraphVerifier(Optional.empty());
    main.verify(model.graph());
    List<String> all = new ArrayList<>(main.problems);
    Set<String> keys = new HashSet<>();
    for (Function function : model.functions()) {
      String key = key(function.domain(), function.name(), function.overload());
      if (!keys.add(key)) {
        all.add("function " + key + " is defined twice");
      }
      if (!model.opsets().containsKey(function.domain())) {
        all.add(
            "function "
                + key
                + ": the model does not import its domain '"
                + function.domain()
                + "'");
      }
      GraphVerifier verifier = new GraphVerifier(Optional.of(function));
      verifier.verify(function.body());
      verifier.problems.forEach(problem -> all.add("function " + key + ": " + problem));
    }
    functionCycle(model).ifPresent(all::add);
    return all;
  }

  /** All problems of a graph that stands alone. */
  public static List<String> problems(Graph graph) {
    GraphVerifier verifier = new GraphVerifier(Optional.empty());
    verifier.verify(graph);
    return verifier.problems;
  }

  /**
   * Fails unless the model is well formed.
   *
   * @throws IllegalStateException with the problems; they are a pass's fault, not the user's
   */
  public static void require(Model model) {
    List<String> problems = problems(model);
    if (!problems.isEmpty()) {
      throw new IllegalStateException(
          "the graph is not well formed:\n  "
              + String.join("\n  ", problems.subList(0, Math.min(20, problems.size()))));
    }
  }

  private void verify(Graph graph) {
    if (graph.parent().isPresent()) {
      problems.add("graph '" + graph.name() + "' is a subgraph and cannot stand alone");
      return;
    }
    collectUses(graph);
    walk(graph);
    registeredUses.forEach(
        (use, value) ->
            problems.add(
                value
                    + " lists a use by "
                    + use.node()
                    + " that is not one: input "
                    + use.index()));
  }

  private void collectUses(Graph graph) {
    for (Value value : graph.values()) {
      for (Value.Use use : value.uses()) {
        if (registeredUses.put(use, value) != null) {
          problems.add(value + " lists input " + use.index() + " of " + use.node() + " twice");
        }
      }
    }
    for (Node node : graph.nodes()) {
      node.subgraphs().forEach(this::collectUses);
    }
  }

  private void walk(Graph graph) {
    List<Value> defined = new ArrayList<>();
    for (Value input : graph.inputs()) {
      define(graph, input, "input", defined);
    }
    for (Value initializer : graph.initializers()) {
      if (initializer.constant().isEmpty()) {
        problems.add("initializer " + initializer + " has no tensor");
      }
      if (!graph.inputs().contains(initializer)) {
        define(graph, initializer, "initializer", defined);
      }
    }
    for (Value declared : graph.declaredValues()) {
      define(graph, declared, "value", defined);
    }
    for (Node node : graph.nodes()) {
      walk(graph, node, defined);
    }
    for (Value output : graph.outputs()) {
      if (!isVisible(output)) {
        problems.add("output " + output + " of graph '" + graph.name() + "' is not defined in it");
      }
    }
    for (Value value : graph.values()) {
      if (!isVisible(value)) {
        problems.add(value + " is in graph '" + graph.name() + "' but nothing defines it");
      }
    }
    for (Value value : defined) {
      visible.remove(value.name(), value);
    }
  }

  private void walk(Graph graph, Node node, List<Value> defined) {
    if (node.graph() != graph || !node.isAttached()) {
      problems.add(node + " is listed in graph '" + graph.name() + "', which does not own it");
    }
    if (node.opType().isEmpty()) {
      problems.add(node + " has no operator type");
    }
    for (int i = 0; i < node.inputCount(); i++) {
      Optional<Value> input = node.input(i);
      if (input.isPresent()) {
        readBy(node, i, input.get());
      }
    }
    node.attributes().forEach((name, value) -> checkReference(node, name, value));
    for (Graph subgraph : node.subgraphs()) {
      if (subgraph.parent().filter(parent -> parent == graph).isEmpty()) {
        problems.add(node + " has a subgraph that belongs to another graph");
      }
      walk(subgraph);
    }
    for (int i = 0; i < node.outputs().size(); i++) {
      Value output = node.output(i);
      if (output.producer().filter(p -> p == node).isEmpty() || output.outputIndex() != i) {
        problems.add(output + " does not know that it is output " + i + " of " + node);
      }
      if (!output.name().isEmpty()) {
        define(graph, output, "output of " + node, defined);
      }
    }
  }

  private void readBy(Node node, int index, Value value) {
    if (value.name().isEmpty()) {
      problems.add(node + " reads a value without a name");
    } else if (!isVisible(value)) {
      problems.add(
          node
              + " reads "
              + value
              + (value.producer().filter(Node::isAttached).isPresent()
                  ? ", which is computed later or in a graph it cannot see"
                  : ", which is not defined"));
    }
    if (!registeredUses.remove(new Value.Use(node, index), value)) {
      problems.add(value + " does not list its use by input " + index + " of " + node);
    }
  }

  private void checkReference(Node node, String name, Attribute value) {
    if (value instanceof Attribute.Reference reference) {
      if (!inFunction) {
        problems.add(node + ": attribute '" + name + "' refers to a function's, outside of one");
      } else if (!attributesInScope.contains(reference.attribute())) {
        problems.add(
            node
                + ": attribute '"
                + name
                + "' refers to '"
                + reference.attribute()
                + "', which the function does not have");
      }
    }
  }

  private boolean isVisible(Value value) {
    return visible.get(value.name()) == value;
  }

  private void define(Graph graph, Value value, String what, List<Value> defined) {
    if (value.graph() != graph || graph.value(value.name()).filter(v -> v == value).isEmpty()) {
      problems.add(what + " " + value + " is not a value of graph '" + graph.name() + "'");
    }
    Value other = visible.putIfAbsent(value.name(), value);
    if (other == null) {
      defined.add(value);
    } else if (other == value) {
      problems.add(what + " " + value + " is defined twice");
    } else {
      problems.add(what + " " + value + " has the name of another value that is visible there");
    }
  }

  // ---- functions ------------------------------------------------------------------------------

  private static String key(String domain, String name, String overload) {
    return domain + "." + name + (overload.isEmpty() ? "" : ":" + overload);
  }

  /** Functions may call each other, but not themselves. */
  private static Optional<String> functionCycle(Model model) {
    Map<String, Set<String>> calls = new LinkedHashMap<>();
    for (Function function : model.functions()) {
      Set<String> called = new HashSet<>();
      collectCalls(function.body(), called);
      calls.put(key(function.domain(), function.name(), function.overload()), called);
    }
    // What calls only functions that are done is done; a cycle is what is left.
    calls.values().forEach(called -> called.retainAll(calls.keySet()));
    Map<String, List<String>> callers = new HashMap<>();
    calls.forEach(
        (caller, called) ->
            called.forEach(
                callee -> callers.computeIfAbsent(callee, k -> new ArrayList<>()).add(caller)));
    Deque<String> done = new ArrayDeque<>();
    calls.forEach(
        (caller, called) -> {
          if (called.isEmpty()) {
            done.add(caller);
          }
        });
    int finished = 0;
    while (!done.isEmpty()) {
      String callee = done.remove();
      finished++;
      for (String caller : callers.getOrDefault(callee, List.of())) {
        Set<String> open = calls.getOrDefault(caller, Set.of());
        open.remove(callee);
        if (open.isEmpty()) {
          done.add(caller);
        }
      }
    }
    if (finished == calls.size()) {
      return Optional.empty();
    }
    String first =
        calls.entrySet().stream()
            .filter(entry -> !entry.getValue().isEmpty())
            .map(Map.Entry::getKey)
            .findFirst()
            .orElse("");
    return Optional.of("function " + first + " calls itself, directly or through others");
  }

  private static void collectCalls(Graph graph, Set<String> called) {
    for (Node node : graph.nodes()) {
      called.add(key(node.domain(), node.opType(), node.overload()));
      node.subgraphs().forEach(subgraph -> collectCalls(subgraph, called));
    }
  }
}
