package io.sparsedit.compiler.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Queries, keys and values projected from one tensor [1,5,6] for a site of 2 heads of 3. */
final class ProjectApartTest {
  private final SiteGraph site = new SiteGraph();
  private final Node first = site.attention.requiredInput(0).producer().orElseThrow();
  private final Value x = reshape(site.graph.inputs().get(0), 1, 5, 6);

  private Value reshape(Value value, long... dims) {
    Value shape = site.graph.addConstant("shape", Tensor.vector(dims));
    return site.graph.insertBefore(first, "Reshape", value, shape);
  }

  private Value weights(int seed, long... dims) {
    float[] elements = new float[(int) Tensor.elementCount(dims)];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = (float) Math.sin(seed + i);
    }
    return site.graph.addConstant("weight", Tensor.ofFloats(dims, elements));
  }

  /** Lets the site read a projection of a tensor as Q, K or V. */
  private Node project(int input, Value from) {
    Value product = site.graph.insertBefore(first, "MatMul", from, weights(input, 6, 6));
    read(input, product);
    return product.producer().orElseThrow();
  }

  private void read(int input, Value projection) {
    Value biased = site.graph.insertBefore(first, "Add", weights(7 + input, 6), projection);
    Node transpose = site.attention.requiredInput(input).producer().orElseThrow();
    transpose.setInput(0, reshape(biased, 1, 5, 2, 3));
  }

  private List<Value> multiplied() {
    return site.graph.nodeList().stream()
        .filter(node -> node.is("MatMul"))
        .map(node -> node.requiredInput(0))
        .toList();
  }

  private void same(Map<String, List<Double>> before) {
    assertThat(GraphVerifier.problems(site.model)).isEmpty();
    Map<String, List<Double>> after = site.run();
    assertThat(after.keySet()).isEqualTo(before.keySet());
    after.forEach(
        (name, numbers) ->
            assertThat(numbers)
                .usingElementComparator((a, b) -> Math.abs(a - b) < 1e-5 ? 0 : 1)
                .isEqualTo(before.get(name)));
  }

  /** As an engine's graph has them when projections are looked at. */
  private int projectApart() {
    ReadTokenMajor.in(site.graph);
    return ProjectApart.in(site.model);
  }

  @Test
  void projectionsButTheFirstAreProductsOfRows() {
    Node product = project(0, x);
    project(1, x).setName("keys");
    project(2, x);
    Map<String, List<Double>> before = site.run();

    assertThat(projectApart()).isEqualTo(2);

    assertThat(multiplied()).containsExactly(x);
    assertThat(product.isAttached()).isTrue();
    assertThat(site.count("Gemm")).isEqualTo(2);
    assertThat(site.graph.nodeList()).extracting(Node::name).contains("keys");
    // Biases are part of the products, but for the first.
    assertThat(site.count("Add")).isEqualTo(1);
    same(before);
    assertThat(ProjectApart.in(site.model)).isZero();
  }

  /** What a kernel of TensorRT's reads may be a part of a larger product. */
  @Test
  void aProjectionThatOthersReadStaysAsItIs() {
    project(0, x);
    project(1, x);
    Value third = site.graph.insertBefore(first, "MatMul", x, weights(2, 6, 6));
    read(2, site.graph.insertBefore(first, "Neg", third));
    Map<String, List<Double>> before = site.run();

    assertThat(projectApart()).isEqualTo(2);

    assertThat(multiplied()).containsExactly(x);
    assertThat(third.producer()).isPresent();
    assertThat(site.count("Gemm")).isEqualTo(2);
    same(before);
  }

  @Test
  void whatIsAddedToAProjectionButNoBiasStaysASum() {
    project(0, x);
    Value product = site.graph.insertBefore(first, "MatMul", x, weights(1, 6, 6));
    Value sum = site.graph.insertBefore(first, "Add", product, x);
    Node transpose = site.attention.requiredInput(1).producer().orElseThrow();
    transpose.setInput(0, reshape(sum, 1, 5, 2, 3));
    Map<String, List<Double>> before = site.run();

    assertThat(projectApart()).isEqualTo(1);

    assertThat(site.count("Gemm")).isEqualTo(1);
    assertThat(site.count("Add")).isEqualTo(2);
    same(before);
  }

  /** Each sum reads the one before twice. */
  @Test
  @Timeout(value = 20, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void doublingsEndAtOnce() {
    project(0, x);
    Value sum = site.graph.insertBefore(first, "MatMul", x, weights(1, 6, 6));
    for (int i = 0; i < 40; i++) {
      sum = site.graph.insertBefore(first, "Add", sum, sum);
    }
    Node transpose = site.attention.requiredInput(1).producer().orElseThrow();
    transpose.setInput(0, reshape(sum, 1, 5, 2, 3));

    assertThat(projectApart()).isEqualTo(1);
  }

  @Test
  void aProjectionAloneStays() {
    Node product = project(0, x);

    assertThat(projectApart()).isZero();
    assertThat(product.requiredInput(0)).isEqualTo(x);
  }

  @Test
  void projectionsOfTensorsOfTheirOwnStay() {
    project(0, x);
    project(1, reshape(site.graph.inputs().get(1), 1, 5, 6));

    assertThat(projectApart()).isZero();
  }

  @Test
  void sizesThatTheGraphDoesNotFixStay() {
    ValueType open =
        new ValueType.TensorType(
            DataType.FLOAT,
            Optional.of(
                List.of(
                    new DeclaredDim.Fixed(1),
                    new DeclaredDim.Named("tokens"),
                    new DeclaredDim.Fixed(6))));
    Value any = site.graph.addInput("any", open);
    project(0, any);
    project(1, any);

    assertThat(projectApart()).isZero();
  }
}
