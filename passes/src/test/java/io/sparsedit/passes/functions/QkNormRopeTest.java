package io.sparsedit.passes.functions;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The function computes what its contract says, in double precision and written out in Java. */
final class QkNormRopeTest {
  private static final int BATCH = 2;
  private static final int HEADS = 3;
  private static final int DIM = 8;
  private static final double F32_TOLERANCE = 1e-5;
  private static final double F16_TOLERANCE = 2e-3;

  /** Random calls that have every value of every attribute. */
  static List<QkNormRope> calls() {
    Random random = new Random(3);
    List<QkNormRope> calls = new ArrayList<>();
    for (NormKind kind : NormKind.values()) {
      for (RopeForm form : RopeForm.values()) {
        for (RotatedTokens tokens : RotatedTokens.values()) {
          for (Layout layout : Layout.values()) {
            calls.add(call(kind, form, tokens, layout, random));
          }
        }
      }
    }
    return calls;
  }

  private static QkNormRope call(
      NormKind kind, RopeForm form, RotatedTokens tokens, Layout layout, Random random) {
    NormScope scope = List.of(NormScope.values()).get(random.nextInt(2));
    boolean bias = kind == NormKind.LAYER && random.nextBoolean();
    Optional<QkNormRope.Norm> norm =
        kind == NormKind.NONE
            ? Optional.empty()
            : Optional.of(
                new QkNormRope.Norm(kind, scope, guard(random), random.nextInt(3) > 0, bias));
    Optional<QkNormRope.Rotary> rope =
        random.nextInt(5) == 0 && norm.isPresent()
            ? Optional.empty()
            : Optional.of(new QkNormRope.Rotary(form, 2 * random.nextInt(2), tokens));
    Layout output = List.of(Layout.values()).get(random.nextInt(2));
    return new QkNormRope(5, layout, output, random.nextBoolean(), norm, rope);
  }

  /** Of sizes that show in the result: the root of random numbers is near 1. */
  private static NormGuard guard(Random random) {
    return List.of(
            NormGuard.underRoot(1e-3f),
            new NormGuard(0, 0.2f, 0),
            new NormGuard(0, 0, 1.1f),
            new NormGuard(0.1f, 0.1f, 1))
        .get(random.nextInt(4));
  }

  @ParameterizedTest
  @MethodSource("calls")
  void equalsItsContract(QkNormRope call) {
    check(call, 17, DataType.FLOAT, F32_TOLERANCE);
    check(call, 18, DataType.FLOAT16, F16_TOLERANCE);
  }

  private static void check(QkNormRope call, long opset, DataType type, double tolerance) {
    Random random = new Random(call.hashCode());
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (String input : call.inputs()) {
      inputs.put(input, input(input, call, type, random));
    }
    try (OneOp op = OneOp.load(call, opset, type)) {
      OneOp.Outputs outputs = op.run(inputs);
      for (String tensor : call.tensors()) {
        Tensor found = outputs.get(tensor + "_out");
        double[] expected = expected(call, tensor, inputs, found.dims());
        double[] actual = found.doubles().orElseThrow();
        double largest = 1;
        for (double element : expected) {
          largest = Math.max(largest, Math.abs(element));
        }
        for (int i = 0; i < expected.length; i++) {
          assertThat(Math.abs(actual[i] - expected[i]) / largest)
              .as("%s[%d] at opset %d", tensor, i, opset)
              .isLessThan(tolerance);
        }
      }
    }
  }

  private static int tokens(String tensor) {
    return tensor.startsWith(SparseOps.K) ? 7 : 5;
  }

  /** Rows of the tables: Q and K have them in common, so with all tokens both are as long. */
  private static boolean isSameLength(QkNormRope call) {
    return call.rope().map(r -> r.tokens() == RotatedTokens.ALL).orElse(false);
  }

  private static Tensor input(String name, QkNormRope call, DataType type, Random random) {
    int dim = random.nextInt(2) == 0 && !isHidden(call) ? DIM : HEADS * DIM;
    long[] dims;
    if (name.equals(SparseOps.Q) || name.equals(SparseOps.K)) {
      long tokens = isSameLength(call) ? 5 : tokens(name);
      dims =
          call.layout() == Layout.BSHD
              ? new long[] {BATCH, tokens, HEADS, DIM}
              : new long[] {BATCH, HEADS, tokens, DIM};
      Tensor x = TestTensors.random(random.nextLong(), dims);
      return type == DataType.FLOAT16 ? TestTensors.half(x) : x;
    } else if (name.equals(QkNormRope.COS) || name.equals(QkNormRope.SIN)) {
      long rows = isSameLength(call) ? 5 : 3;
      // Both tables are of one shape: that of the call's own seed.
      Random shape = new Random(call.hashCode());
      dims = new long[] {shape.nextBoolean() ? BATCH : 1, rows, shape.nextBoolean() ? HEADS : 1, 4};
    } else {
      dims = new long[] {dim};
    }
    return TestTensors.random(random.nextLong(), dims);
  }

  private static boolean isHidden(QkNormRope call) {
    return call.norm().map(n -> n.scope() == NormScope.HIDDEN).orElse(false);
  }

  // ---- the contract -----------------------------------------------------------------------------

  /** The output in the order of the output's layout. */
  private static double[] expected(
      QkNormRope call, String tensor, Map<String, Tensor> inputs, long[] outDims) {
    double[] x = numbers(inputs, tensor);
    int tokens = x.length / (BATCH * HEADS * DIM);
    double[] out = new double[x.length];
    for (int b = 0; b < BATCH; b++) {
      for (int t = 0; t < tokens; t++) {
        double[][] y = new double[HEADS][DIM];
        for (int h = 0; h < HEADS; h++) {
          for (int d = 0; d < DIM; d++) {
            y[h][d] = x[place(call.layout(), tokens, b, t, h, d)];
          }
        }
        normalise(call, tensor, inputs, y);
        rotate(call, inputs, b, t, tokens, y);
        for (int h = 0; h < HEADS; h++) {
          for (int d = 0; d < DIM; d++) {
            out[place(call.outputLayout(), tokens, b, t, h, d)] = y[h][d];
          }
        }
      }
    }
    int first = call.outputLayout() == Layout.BSHD ? tokens : HEADS;
    int second = call.outputLayout() == Layout.BSHD ? HEADS : tokens;
    assertThat(outDims).containsExactly(BATCH, first, second, DIM);
    return out;
  }

  private static double[] numbers(Map<String, Tensor> inputs, String name) {
    return Optional.ofNullable(inputs.get(name)).flatMap(Tensor::doubles).orElse(new double[0]);
  }

  private static int place(Layout layout, int tokens, int b, int t, int h, int d) {
    return layout == Layout.BSHD
        ? ((b * tokens + t) * HEADS + h) * DIM + d
        : ((b * HEADS + h) * tokens + t) * DIM + d;
  }

  private static void normalise(
      QkNormRope call, String tensor, Map<String, Tensor> inputs, double[][] y) {
    if (call.norm().isEmpty()) {
      return;
    }
    QkNormRope.Norm norm = call.norm().get();
    double[] weight = numbers(inputs, tensor + "_weight");
    double[] bias = numbers(inputs, tensor + "_bias");
    for (int h = 0; h < HEADS; h++) {
      int from = norm.scope() == NormScope.HEAD ? h : 0;
      int to = norm.scope() == NormScope.HEAD ? h + 1 : HEADS;
      if (norm.scope() == NormScope.HIDDEN && h > 0) {
        break;
      }
      int count = (to - from) * DIM;
      double mean = 0;
      for (int g = from; g < to && norm.kind() == NormKind.LAYER; g++) {
        for (double element : y[g]) {
          mean += element / count;
        }
      }
      double square = 0;
      for (int g = from; g < to; g++) {
        for (double element : y[g]) {
          square += (element - mean) * (element - mean) / count;
        }
      }
      for (int g = from; g < to; g++) {
        for (int d = 0; d < DIM; d++) {
          double root = Math.sqrt(square + norm.guard().epsilon()) + norm.guard().rootEpsilon();
          double normed = (y[g][d] - mean) / Math.max(root, norm.guard().rootFloor());
          y[g][d] = normed * perLane(weight, g, d, 1) + perLane(bias, g, d, 0);
        }
      }
    }
  }

  private static double perLane(double[] vector, int head, int lane, double otherwise) {
    return vector.length == 0 ? otherwise : vector[(head * DIM + lane) % vector.length];
  }

  private static void rotate(
      QkNormRope call, Map<String, Tensor> inputs, int b, int t, int tokens, double[][] y) {
    if (call.rope().isEmpty()) {
      return;
    }
    QkNormRope.Rotary rope = call.rope().get();
    long[] dims = Optional.ofNullable(inputs.get(QkNormRope.COS)).orElseThrow().dims();
    int rows = (int) dims[1];
    int lanes = (int) dims[3];
    int row = rope.tokens() == RotatedTokens.LAST ? t - (tokens - rows) : t;
    if (row < 0 || row >= rows) {
      return;
    }
    double[] cos = numbers(inputs, QkNormRope.COS);
    double[] sin = numbers(inputs, QkNormRope.SIN);
    for (int h = 0; h < HEADS; h++) {
      double[] old = y[h].clone();
      long line = ((b % dims[0]) * rows + row) * dims[2] + h % dims[2];
      for (int i = 0; i < lanes; i++) {
        int other = rope.form() == RopeForm.INTERLEAVED ? i ^ 1 : (i + lanes / 2) % lanes;
        double turned = old[rope.start() + other] * (i < other ? -1 : 1);
        int at = (int) line * lanes + i;
        y[h][rope.start() + i] = old[rope.start() + i] * cos[at] + turned * sin[at];
      }
    }
  }

  @Test
  void anRmsNormHasNoBias() {
    assertThatThrownBy(
            () ->
                new QkNormRope.Norm(
                    NormKind.RMS, NormScope.HEAD, NormGuard.underRoot(1e-6f), true, true))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("bias");
  }
}
