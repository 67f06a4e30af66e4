package io.sparsedit.compiler.legal;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

final class JoinInsteadOfScatterTest {
  private static final long[] TURN = {3, 1, 2, 0};

  private final Spelled spelled = new Spelled(18);

  private Value zeros(long... dims) {
    return spelled.graph.addConstant(
        "zeros", Tensor.ofFloats(dims, new float[(int) Tensor.elementCount(dims)]));
  }

  private Value longs(long[] dims, long... elements) {
    return spelled.graph.addConstant("i", Tensor.ofLongs(dims, elements));
  }

  /** Lanes as the first axis. */
  private Value lanes(long... lanes) {
    return longs(new long[] {lanes.length, 1}, lanes);
  }

  private Value turned(Value value, long... perm) {
    return spelled.node("Transpose", List.of(Optional.of(value)), "perm", perm);
  }

  private Model checked(Value y, boolean joined) {
    Model legal = spelled.output(y).check(0);
    assertThat(legal.graph().nodeList().stream().anyMatch(node -> node.is("ScatterND")))
        .isNotEqualTo(joined);
    return legal;
  }

  @Test
  void lanesThatTakeTurns() {
    Value first =
        spelled.node("ScatterND", zeros(6, 2, 3), lanes(0, 2, 4), spelled.floats("a", 3, 2, 3));
    checked(spelled.node("ScatterND", first, lanes(1, 3, 5), spelled.floats("b", 3, 2, 3)), true);
  }

  @Test
  void theLastMayComeFirst() {
    Value first = spelled.node("ScatterND", zeros(4, 2), lanes(1, 3), spelled.floats("a", 2, 2));
    checked(spelled.node("ScatterND", first, lanes(0, 2), spelled.floats("b", 2, 2)), true);
  }

  @Test
  void partsThatFollowOneAnother() {
    Value first = spelled.node("ScatterND", zeros(5, 2), lanes(0, 1), spelled.floats("a", 2, 2));
    checked(spelled.node("ScatterND", first, lanes(2, 3, 4), spelled.floats("b", 3, 2)), true);
  }

  @Test
  void transpositionsAroundGoAsWell() {
    Value a = turned(spelled.floats("a", 1, 5, 2, 3), TURN);
    Value b = turned(spelled.floats("b", 1, 5, 2, 3), TURN);
    Value first = spelled.node("ScatterND", zeros(6, 5, 2, 1), lanes(0, 2, 4), a);
    Value both = spelled.node("ScatterND", first, lanes(1, 3, 5), b);

    Model legal = checked(spelled.node("Neg", turned(both, TURN)), true);

    assertThat(legal.graph().nodeList().stream().map(Node::opType))
        .containsExactly("Unsqueeze", "Unsqueeze", "Concat", "Reshape", "Neg");
  }

  @Test
  void otherReadersStillGetWhatTheyReadBefore() {
    Value a = turned(spelled.floats("a", 1, 5, 2, 3), TURN);
    Value b = turned(spelled.floats("b", 1, 5, 2, 3), TURN);
    Value first = spelled.node("ScatterND", zeros(6, 5, 2, 1), lanes(0, 2, 4), a);
    Value both = spelled.node("ScatterND", first, lanes(1, 3, 5), b);
    spelled.output(spelled.node("Neg", both));
    checked(turned(both, 3, 2, 1, 0), true);
  }

  @Test
  void gridsOfAllAxes() {
    long[] dims = {2, 3, 2, 6};
    Value first =
        spelled.node(
            "ScatterND", zeros(dims), grid(dims, 0, 2, 4), spelled.floats("a", 2, 3, 2, 3));
    checked(
        spelled.node("ScatterND", first, grid(dims, 1, 3, 5), spelled.floats("b", 2, 3, 2, 3)),
        true);
  }

  /** Indices as TorchScript computes them: each axis expanded over the others, then joined. */
  private Value grid(long[] dims, long... lanes) {
    long[] shape = dims.clone();
    shape[dims.length - 1] = lanes.length;
    Value target = longs(new long[] {dims.length}, shape);
    Value[] components = new Value[dims.length];
    for (int axis = 0; axis < dims.length; axis++) {
      boolean last = axis == dims.length - 1;
      long[] elements = last ? lanes : LongStream.range(0, dims[axis]).toArray();
      long[] own = new long[dims.length - axis];
      Arrays.fill(own, 1);
      own[0] = elements.length;
      Value expanded = spelled.node("Expand", longs(own, elements), target);
      components[axis] =
          spelled.node("Unsqueeze", expanded, spelled.graph.addConstant("axis", Tensor.vector(-1)));
    }
    return spelled.node("Concat", Arrays.stream(components).map(Optional::of).toList(), "axis", -1);
  }

  @Test
  void whatIsNotFilledStaysAScatter() {
    Value first = spelled.node("ScatterND", zeros(6, 2), lanes(0, 2), spelled.floats("a", 2, 2));
    checked(spelled.node("ScatterND", first, lanes(1, 3), spelled.floats("b", 2, 2)), false);
  }

  @Test
  void lanesInAnotherOrderStayAScatter() {
    Value first = spelled.node("ScatterND", zeros(4, 2), lanes(2, 0), spelled.floats("a", 2, 2));
    checked(spelled.node("ScatterND", first, lanes(1, 3), spelled.floats("b", 2, 2)), false);
  }

  @Test
  void aStageThatIsReadElsewhereStays() {
    Value first = spelled.node("ScatterND", zeros(4, 2), lanes(0, 2), spelled.floats("a", 2, 2));
    spelled.output(spelled.node("Neg", first));
    checked(spelled.node("ScatterND", first, lanes(1, 3), spelled.floats("b", 2, 2)), false);
  }
}
