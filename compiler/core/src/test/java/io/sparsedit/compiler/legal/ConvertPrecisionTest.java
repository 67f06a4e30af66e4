package io.sparsedit.compiler.legal;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.ModelCopy;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class ConvertPrecisionTest {
  private final Spelled spelled = new Spelled(17);

  private Value linear(Value x, long in, long out) {
    return spelled.node("MatMul", x, spelled.weights("w", in, out));
  }

  private Value number(double value) {
    return spelled.graph.addConstant("c", Tensor.scalar((float) value));
  }

  /** A converted copy, whose operators read one type of floats each. */
  private Model converted(Precision precision) {
    Model copy = ModelCopy.of(spelled.model);
    Legalisation.apply(copy);
    Legalisation.convert(copy, precision);
    ShapeTable facts = ShapeInference.infer(copy);
    for (Node node : copy.graph().nodes()) {
      if (!node.is("Cast") && node.domain().isEmpty()) {
        assertThat(
                node.presentInputs().stream()
                    .map(facts::elementType)
                    .filter(DataType::isFloating)
                    .distinct()
                    .count())
            .as("types that %s reads", node)
            .isLessThanOrEqualTo(1);
      }
    }
    return copy;
  }

  private static DataType computedIn(Model model, String operator) {
    ShapeTable facts = ShapeInference.infer(model);
    Node node =
        model.graph().nodeList().stream().filter(n -> n.is(operator)).findFirst().orElseThrow();
    return facts.elementType(node.output());
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "FP16"})
  void productsAreRoundedAndWhatEndsInASoftmaxIsNot(Precision precision) {
    Value x = spelled.floats("x", 2, 5, 16);
    Value scores = spelled.node("MatMul", linear(x, 16, 16), linear(x, 16, 5));
    Value masked = spelled.node("Add", scores, spelled.floats("mask", 5, 5));
    spelled.output(linear(spelled.node("Softmax", masked), 5, 16));

    Model model = converted(precision);

    assertThat(computedIn(model, "MatMul")).isEqualTo(precision.type());
    assertThat(computedIn(model, "Add")).isEqualTo(DataType.FLOAT);
    assertThat(computedIn(model, "Softmax")).isEqualTo(DataType.FLOAT);
  }

  @Test
  void inputsAndOutputsKeepNamesAndTypes() {
    Value y = linear(spelled.floats("x", 2, 5, 16), 16, 16);
    spelled.output(y);

    Model model = converted(Precision.FP16);

    ValueType input = model.graph().inputs().get(0).type().orElseThrow();
    assertThat(((ValueType.TensorType) input).elementType()).isEqualTo(DataType.FLOAT);
    assertThat(model.graph().outputs().get(0).name()).isEqualTo(y.name());
    assertThat(ShapeInference.infer(model).elementType(model.graph().outputs().get(0)))
        .isEqualTo(DataType.FLOAT);
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "FP16"})
  void noiseLevelsAndTheirTablesStay(Precision precision) {
    Value timestep = spelled.floats("timestep", 2);
    Value column =
        spelled.node("Unsqueeze", timestep, spelled.graph.addConstant("axis", Tensor.vector(1)));
    Value angles = spelled.node("Mul", column, spelled.weights("frequencies", 1, 32));
    Value embedded = linear(spelled.node("Sin", angles), 32, 16);
    spelled.output(spelled.node("Mul", embedded, linear(spelled.floats("x", 2, 2, 16), 16, 16)));

    Model model = converted(precision);

    assertThat(computedIn(model, "Sin")).isEqualTo(DataType.FLOAT);
    assertThat(computedIn(model, "MatMul")).isEqualTo(precision.type());
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "FP16"})
  void meansOfSquaresStayAndTheResidualStreamDoesNot(Precision precision) {
    Value x = linear(spelled.floats("x", 2, 5, 16), 16, 16);
    Value squares = spelled.node("Mul", x, x);
    Value mean = spelled.node("ReduceMean", List.of(Optional.of(squares)), "axes", new long[] {-1});
    Value root = spelled.node("Sqrt", spelled.node("Add", mean, number(1e-6)));
    Value normalised = spelled.node("Div", x, root);
    Value branch = linear(normalised, 16, 16);
    Value residual = spelled.node("Sub", x, branch);
    spelled.output(linear(residual, 16, 8));

    Model model = converted(precision);

    for (String operator : List.of("Mul", "ReduceMean", "Add", "Sqrt", "Div")) {
      assertThat(computedIn(model, operator)).as(operator).isEqualTo(DataType.FLOAT);
    }
    assertThat(computedIn(model, "Sub")).isEqualTo(precision.type());
  }

  @Test
  void rotationsByTablesStay() {
    Value x = linear(spelled.floats("x", 2, 5, 16), 16, 16);
    Value turned = spelled.node("Mul", x, spelled.weights("cos", 5, 16));
    spelled.output(linear(turned, 16, 8));

    assertThat(computedIn(converted(Precision.BF16), "Mul")).isEqualTo(DataType.FLOAT);
  }

  @Test
  void whatFloat16HasNoRoomForStays() {
    Value x = linear(spelled.floats("x", 2, 5, 16), 16, 16);
    spelled.output(linear(spelled.node("Add", x, number(1e6)), 16, 8));

    assertThat(computedIn(converted(Precision.FP16), "Add")).isEqualTo(DataType.FLOAT);
    assertThat(computedIn(converted(Precision.BF16), "Add")).isEqualTo(DataType.BFLOAT16);
  }

  @Test
  void aModelInSixteenBitsStaysAsItIs() {
    Value x = spelled.node("Cast", List.of(Optional.of(spelled.floats("x", 2, 5, 16))), "to", 10);
    Value w = spelled.node("Cast", List.of(Optional.of(spelled.weights("w", 16, 16))), "to", 10);
    Value y = spelled.node("Cast", List.of(Optional.of(spelled.node("MatMul", x, w))), "to", 1);
    spelled.output(spelled.node("Softmax", y));

    Model copy = ModelCopy.of(spelled.model);
    Legalisation.apply(copy);
    Legalisation.convert(copy, Precision.BF16);

    assertThat(copy.graph().nodeList().stream().map(Node::opType))
        .containsExactly("Cast", "Cast", "MatMul", "Cast", "Softmax");
  }

  @Test
  void sparseSitesTakeRoundedActivationsAndExactState() {
    Value x = spelled.floats("x", 1, 5, 2, 16);
    Value q = linear(x, 16, 16);
    Value state = spelled.floats("state.s0.means", 1, 2, 3, 16);
    Node plan = spelled.graph.addNode("sparsedit", "MeanPlan", "plan", List.of(q, q, state));
    Value order = plan.addOutput("order");
    Value next = plan.addOutput("next.s0.means");
    order.setType(ValueType.TensorType.of(DataType.INT32, 1, 2, 5));
    next.setType(ValueType.TensorType.of(DataType.FLOAT, 1, 2, 3, 16));
    Value bias = spelled.floats("bias", 1, 1, 1, 5);
    Node attention =
        spelled.graph.addNode(
            "sparsedit", "BlockSparseAttention", "attention", List.of(q, q, q, order, bias));
    Value o = attention.addOutput("o");
    o.setType(ValueType.TensorType.of(DataType.FLOAT, 1, 5, 2, 16));
    spelled.output(linear(o, 16, 8));
    spelled.graph.addOutput(next);

    Model model = ModelCopy.of(spelled.model);
    Legalisation.apply(model);
    Legalisation.convert(model, Precision.BF16);

    Map<String, Node> nodes =
        model.graph().nodeList().stream()
            .filter(node -> node.domain().equals("sparsedit"))
            .collect(java.util.stream.Collectors.toMap(Node::opType, node -> node));
    Node planner = Optional.ofNullable(nodes.get("MeanPlan")).orElseThrow();
    Node sparse = Optional.ofNullable(nodes.get("BlockSparseAttention")).orElseThrow();
    assertThat(planner.requiredInput(0).producer().orElseThrow().opType()).isEqualTo("MatMul");
    assertThat(planner.requiredInput(2).name()).isEqualTo("state.s0.means");
    assertThat(sparse.requiredInput(4).name()).isEqualTo("bias");
    // No Cast between attention and the projection that reads it.
    assertThat(sparse.output().uses()).allMatch(use -> use.node().is("MatMul"));
    assertThat(model.graph().outputs().get(1).name()).isEqualTo("next.s0.means");
  }

  @Test
  void tablesOfOneFusedTensorStay() {
    Value q = linear(spelled.floats("x", 1, 5, 2, 16), 16, 16);
    Value cos = spelled.floats("cos", 1, 5, 1, 16);
    Value sin = spelled.floats("sin", 1, 5, 1, 16);
    Node fused = spelled.graph.addNode("sparsedit", "QkNormRope", "qk", List.of(q, cos, sin));
    Value out = fused.addOutput("q_out");
    out.setType(ValueType.TensorType.of(DataType.FLOAT, 1, 5, 2, 16));
    spelled.output(linear(out, 16, 8));

    Model model = ModelCopy.of(spelled.model);
    Legalisation.convert(model, Precision.BF16);

    Node node =
        model.graph().nodeList().stream()
            .filter(n -> n.opType().equals("QkNormRope"))
            .findFirst()
            .orElseThrow();
    assertThat(node.requiredInput(0).producer().orElseThrow().opType()).isEqualTo("MatMul");
    assertThat(node.requiredInput(1).name()).isEqualTo("cos");
    assertThat(node.requiredInput(2).name()).isEqualTo("sin");
  }
}
