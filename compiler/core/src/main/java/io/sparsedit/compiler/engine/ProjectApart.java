package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.MemoisedTest;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Keeps projections that plugins read out of one wide product.
 *
 * <pre>
 *   before   q = Add(MatMul(x, wq), bq)    k = Add(MatMul(x, wk), bk)    v = ...         x: [1,S,C]
 *   after    q = Add(MatMul(x, wq), bq)
 *            k = Reshape(Gemm(Reshape(x, S C), wk, bk), 1 S HD)    v likewise
 * </pre>
 *
 * TensorRT 10.6 makes one product of those that read the same tensor, and then copies each out of
 * the result, since what a plugin reads must be contiguous; and the wide product is no faster. It
 * does not join products over tensors of another rank, so that the first stays by itself; the
 * others it still joins. Applies where the graph fixes the sizes, to products that plugins alone
 * read. Others are left to TensorRT, whose own kernels read parts of a tensor.
 */
final class ProjectApart {
  /** What stands between a projection and a plugin, and is no kernel of its own. */
  private static final Set<String> BETWEEN = Set.of("Add", "Reshape", "Unsqueeze", "Squeeze");

  private ProjectApart() {}

  /** Changes the model; the number of products that were set apart. */
  static int in(Model model) {
    Map<Value, List<Node>> products = new LinkedHashMap<>();
    MemoisedTest goToPlugins = new MemoisedTest(ProjectApart::goesToPlugins);
    for (Node node : model.graph().nodeList()) {
      if (node.is("MatMul") && goToPlugins.test(node.output())) {
        products.computeIfAbsent(node.requiredInput(0), x -> new ArrayList<>()).add(node);
      }
    }
    if (products.isEmpty()) {
      return 0;
    }
    ShapeTable facts = ShapeInference.infer(model);
    return products.entrySet().stream()
        .mapToInt(entry -> setApart(entry.getKey(), entry.getValue(), facts))
        .sum();
  }

  /** Whether plugins alone read a value, with no kernel between. */
  private static boolean goesToPlugins(Value value, Predicate<Value> test) {
    return !value.isGraphOutput()
        && !value.isUnused()
        && value.uses().stream().allMatch(use -> leadsToPlugins(use.node(), test));
  }

  private static boolean leadsToPlugins(Node node, Predicate<Value> test) {
    return node.domain().equals(CallPlugins.DOMAIN)
        || (BETWEEN.contains(node.opType()) && node.domain().isEmpty() && test.test(node.output()));
  }

  private static int setApart(Value x, List<Node> products, ShapeTable facts) {
    boolean others =
        x.uses().stream()
            .map(Value.Use::node)
            .anyMatch(node -> node.is("MatMul") && !products.contains(node));
    // One may stay as it is.
    List<Node> apart = products.subList(others ? 0 : 1, products.size());
    return (int) apart.stream().filter(product -> rewrite(product, facts)).count();
  }

  private static boolean rewrite(Node product, ShapeTable facts) {
    Optional<List<Long>> x = facts.fixedShape(product.requiredInput(0));
    Optional<List<Long>> weight = facts.fixedShape(product.requiredInput(1));
    Optional<List<Long>> result = facts.fixedShape(product.output());
    if (x.isEmpty() || result.isEmpty() || weight.map(List::size).orElse(0) != 2) {
      return false;
    }
    Graph graph = product.graph();
    Optional<Node> bias = bias(product, facts);
    Node last = bias.orElse(product);
    Value rows = reshape(last, product.requiredInput(0), -1, weight.get().get(0));
    Value gemm = graph.insertBefore(last, "Gemm", rows, product.requiredInput(1));
    bias.ifPresent(add -> producer(gemm).setInput(2, other(add, product.output())));
    long[] dims = result.get().stream().mapToLong(Long::longValue).toArray();
    Value projected = reshape(last, gemm, dims);
    last.output().replaceAllUsesWith(projected);
    producer(gemm).setName(product.name());
    bias.ifPresent(graph::remove);
    graph.remove(product);
    return true;
  }

  /** The sum that adds a bias to a product and alone reads it. */
  private static Optional<Node> bias(Node product, ShapeTable facts) {
    List<Value.Use> uses = product.output().uses();
    if (uses.size() != 1 || !uses.get(0).node().is("Add")) {
      return Optional.empty();
    }
    Node add = uses.get(0).node();
    Value operand = other(add, product.output());
    boolean vector = facts.fixedShape(operand).filter(dims -> dims.size() == 1).isPresent();
    return operand.constant().isPresent() && vector ? Optional.of(add) : Optional.empty();
  }

  private static Value other(Node add, Value operand) {
    return add.requiredInput(add.requiredInput(0) == operand ? 1 : 0);
  }

  private static Value reshape(Node before, Value value, long... dims) {
    Graph graph = before.graph();
    return graph.insertBefore(
        before, "Reshape", value, graph.addConstant("shape", Tensor.vector(dims)));
  }

  private static Node producer(Value value) {
    return value.producer().orElseThrow();
  }
}
