package io.sparsedit.passes.verify;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.shape.ShapeInference;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class VerificationCostTest {
  @Test
  void productsAreCounted() {
    VerificationCost cost = cost(attention(new DeclaredDim.Fixed(1024)), Map.of());

    // Two products of 2 * 1024 * 1024 * 64 operations, and a softmax; three runs at 30 Gflop/s.
    assertThat(cost.seconds()).isCloseTo(3 * (4 * 64 + 20) * 1024.0 * 1024 / 30e9, within(1e-3));
    assertThat(cost.isTooMuch()).isFalse();
  }

  @Test
  void symbolicSizesCountAsTheInputsSay() {
    Model model = attention(new DeclaredDim.Named("S"));

    assertThat(cost(model, Map.of("S", 1024L)).isTooMuch()).isFalse();
    VerificationCost large = cost(model, Map.of("S", 75_600L));
    // One head's scores alone are 22.9 GB.
    assertThat(large.bytes()).isGreaterThan(22e9);
    assertThat(large.isTooMuch()).isTrue();
  }

  private static VerificationCost cost(Model model, Map<String, Long> sizes) {
    return VerificationCost.of(model, ShapeInference.infer(model), sizes);
  }

  private static Model attention(DeclaredDim tokens) {
    Graph graph = Graph.create("attention");
    DeclaredDim dim = new DeclaredDim.Fixed(64);
    Value q = graph.addInput("q", matrix(tokens, dim));
    Value kt = graph.addInput("kt", matrix(dim, tokens));
    Value v = graph.addInput("v", matrix(tokens, dim));
    Value scores = graph.append("MatMul", q, kt);
    graph.addOutput(graph.append("MatMul", graph.append("Softmax", scores), v));
    Model model = new Model(graph, 8);
    model.opsets().put("", 17L);
    return model;
  }

  private static ValueType matrix(DeclaredDim rows, DeclaredDim columns) {
    return new ValueType.TensorType(DataType.FLOAT, Optional.of(List.of(rows, columns)));
  }
}
