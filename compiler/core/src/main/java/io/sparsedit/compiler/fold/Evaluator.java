package io.sparsedit.compiler.fold;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType.TensorType;
import io.sparsedit.compiler.ort.OrtOptions;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.compiler.shape.ConstantSource;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/** Computes the constant values of a graph that are worth keeping, in ONNX Runtime. */
final class Evaluator {
  /** A node whose results are larger than this is not run, even where its own users shrink them. */
  private static final long MAX_INTERMEDIATE = 1 << 22;

  /** When runs fail, at most so many are tried to find the nodes to blame. */
  private static final int MAX_SESSIONS = 32;

  private static final Set<String> NOT_FOLDED =
      Set.of(
          "Bernoulli",
          "Constant",
          "DequantizeLinear",
          "Dropout",
          "Multinomial",
          "RandomNormal",
          "RandomNormalLike",
          "RandomUniform",
          "RandomUniformLike");

  private final Model model;
  private final ShapeTable facts;
  private final ConstantSource source;
  private final long maxElements;
  private final List<String> failures = new ArrayList<>();
  private int sessions;

  Evaluator(Model model, ShapeTable facts, ConstantSource source, long maxElements) {
    this.model = model;
    this.facts = facts;
    this.source = source;
    this.maxElements = maxElements;
  }

  int sessions() {
    return sessions;
  }

  List<String> failures() {
    return failures;
  }

  /** The values of the graph to replace, with their tensors. */
  Map<Value, Tensor> evaluate(Graph graph) {
    Set<Node> constantNodes = constantNodes(graph);
    List<Value> wanted = wanted(constantNodes);
    Map<Value, Tensor> results = new LinkedHashMap<>();
    if (!wanted.isEmpty()) {
      run(wanted, results);
    }
    return results;
  }

  // ---- what is constant -------------------------------------------------------------------------

  private Set<Node> constantNodes(Graph graph) {
    Set<Node> constant = new LinkedHashSet<>();
    for (Node node : graph.nodes()) {
      boolean inputsConstant =
          node.presentInputs().stream()
              .allMatch(
                  v ->
                      v.producer().isPresent()
                          ? constant.contains(v.producer().get())
                          : isReadable(v));
      if (inputsConstant && isFoldable(node)) {
        constant.add(node);
      }
    }
    return constant;
  }

  private boolean isFoldable(Node node) {
    if (!node.domain().isEmpty()
        || NOT_FOLDED.contains(node.opType())
        || !node.subgraphs().isEmpty()
        || model.functionOf(node).isPresent()) {
      return false;
    }
    for (Value output : node.outputs()) {
      OptionalLong elements = elements(output);
      if (elements.isEmpty() || elements.getAsLong() > MAX_INTERMEDIATE) {
        return false;
      }
    }
    return true;
  }

  /** Whether it is an initializer that is in memory or small. */
  private boolean isReadable(Value value) {
    if (value.graph().inputs().contains(value)) {
      return false;
    }
    Optional<Tensor> tensor = value.constant();
    return tensor.isPresent()
        && (!tensor.get().isExternal() || tensor.get().elementCount() <= maxElements);
  }

  private OptionalLong elements(Value value) {
    Optional<List<Dim>> shape = facts.shape(value);
    boolean typed = facts.elementType(value) != DataType.UNDEFINED || value.name().isEmpty();
    return shape.isPresent() && typed ? Dim.product(shape.get()).constant() : OptionalLong.empty();
  }

  /** The constant values that nodes which stay need, as far as they are small enough to keep. */
  private List<Value> wanted(Set<Node> constantNodes) {
    List<Node> backwards = new ArrayList<>(constantNodes);
    Collections.reverse(backwards);
    Set<Node> folded = new HashSet<>(constantNodes);
    List<Value> wanted = new ArrayList<>();
    for (Node node : backwards) {
      List<Value> needed = new ArrayList<>();
      boolean stays = false;
      for (Value output : node.outputs()) {
        boolean isOutput = output.isGraphOutput();
        if (isOutput || output.uses().stream().anyMatch(use -> !folded.contains(use.node()))) {
          needed.add(output);
          stays |= isOutput || !isSmall(output, node);
        }
      }
      if (stays) {
        folded.remove(node);
      } else {
        wanted.addAll(needed);
      }
    }
    Collections.reverse(wanted);
    return wanted;
  }

  private boolean isSmall(Value value, Node node) {
    long elements = elements(value).orElse(Long.MAX_VALUE);
    if (elements <= maxElements) {
      return true;
    }
    // What the model stores anyway may be traded for the result; what it computes may not.
    long given = 0;
    for (Value input : node.presentInputs()) {
      if (input.producer().isPresent()) {
        continue;
      }
      long count = elements(input).orElse(0);
      given += facts.elementType(input).bytes(count);
    }
    return facts.elementType(value).bytes(elements) <= given;
  }

  // ---- the run ----------------------------------------------------------------------------------

  private void run(List<Value> wanted, Map<Value, Tensor> results) {
    if (sessions >= MAX_SESSIONS) {
      failures.add(wanted.size() + " more constant values were not tried");
      return;
    }
    sessions++;
    Map<Value, Value> copies = new HashMap<>();
    Model extract = extract(wanted, copies);
    OrtOptions options =
        OrtOptions.DEFAULT.withThreads(1).withOptimisation(OrtOptions.Optimisation.NONE);
    Map<String, Tensor> tensors;
    try (OrtRunner runner = OrtRunner.load(extract, options)) {
      tensors = runner.run(Map.of());
    } catch (SparsifyException e) {
      if (wanted.size() == 1) {
        failures.add(wanted.get(0).producer().orElseThrow() + ": " + e.getMessage());
      } else {
        int half = wanted.size() / 2;
        run(wanted.subList(0, half), results);
        run(wanted.subList(half, wanted.size()), results);
      }
      return;
    }
    for (Value value : wanted) {
      Value copy = Optional.ofNullable(copies.get(value)).orElseThrow();
      Tensor tensor = Optional.ofNullable(tensors.get(copy.name())).orElseThrow();
      results.put(value, tensor);
    }
  }

  /** A model without inputs that computes the values. */
  private Model extract(List<Value> wanted, Map<Value, Value> copies) {
    Graph graph = Graph.create("constants");
    Model extract = new Model(graph, model.irVersion());
    extract.opsets().putAll(model.opsets());
    Set<Node> done = new HashSet<>();
    for (Value value : wanted) {
      copy(value.producer().orElseThrow(), graph, copies, done);
    }
    for (Value value : wanted) {
      Value copy = Optional.ofNullable(copies.get(value)).orElseThrow();
      long[] dims =
          facts.shape(value).orElseThrow().stream()
              .mapToLong(d -> d.constant().orElseThrow())
              .toArray();
      copy.setType(TensorType.of(facts.elementType(value), dims));
      graph.addOutput(copy);
    }
    return extract;
  }

  /** Copies a node after those that it needs, without recursion. */
  private void copy(Node wanted, Graph graph, Map<Value, Value> copies, Set<Node> done) {
    List<Node> stack = new ArrayList<>(List.of(wanted));
    while (!stack.isEmpty()) {
      Node node = stack.get(stack.size() - 1);
      List<Node> missing = new ArrayList<>();
      for (Value input : node.presentInputs()) {
        input.producer().filter(p -> !done.contains(p)).ifPresent(missing::add);
      }
      if (!missing.isEmpty()) {
        stack.addAll(missing);
        continue;
      }
      stack.remove(stack.size() - 1);
      if (done.add(node)) {
        append(node, graph, copies);
      }
    }
  }

  private void append(Node node, Graph graph, Map<Value, Value> copies) {
    Node copy = graph.addNode(node.domain(), node.opType(), node.name(), List.of());
    for (int i = 0; i < node.inputCount(); i++) {
      if (node.input(i).isPresent()) {
        copy.setInput(
            i, copies.computeIfAbsent(node.requiredInput(i), v -> initializer(v, graph, copies)));
      } else {
        copy.clearInput(i);
      }
    }
    node.attributes().forEach(copy::setAttribute);
    for (Value output : node.outputs()) {
      String name = output.name().isEmpty() ? "" : graph.freshName("v" + copies.size());
      copies.put(output, copy.addOutput(name));
    }
  }

  private Value initializer(Value value, Graph graph, Map<Value, Value> copies) {
    Tensor tensor = value.constant().orElseThrow();
    Optional<Tensor> present = tensor.isExternal() ? source.read(tensor) : Optional.of(tensor);
    Tensor elements =
        present.orElseThrow(
            () -> SparsifyException.failure("tensor '" + value.name() + "' cannot be read"));
    return graph.addInitializer("c" + copies.size() + "." + value.name(), elements);
  }
}
