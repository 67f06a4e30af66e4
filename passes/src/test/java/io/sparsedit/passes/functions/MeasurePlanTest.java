package io.sparsedit.passes.functions;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Against sums over all pairs of tokens, written down as the definitions read. */
class MeasurePlanTest {
  private static final int ALL_ROWS = 1_000_000;

  /** One head of a golden file, token by token. */
  private static final class Pairs {
    private final double[][] mass;
    private final boolean[][] kept;
    private final boolean[] video;
    private final boolean[] visible;

    Pairs(Golden golden, int head, boolean bias) {
      Tensor q = golden.atStep("q", golden.steps() - 1);
      Tensor k = golden.atStep("k", golden.steps() - 1);
      int heads = (int) q.dims()[1];
      int tokens = (int) q.dims()[2];
      int dim = (int) q.dims()[3];
      float[] queries = TestTensors.floats(q);
      float[] keys = TestTensors.floats(k);
      float[] biases =
          bias
              ? TestTensors.floats(golden.tensor(SparseOps.KEY_BIAS))
              : new float[(int) q.dims()[0] * tokens];
      int[] querySegment =
          segments(golden, SparseOps.QUERY_ORDER, SparseOps.QUERY_OFFSETS, head, tokens);
      int[] keySegment = segments(golden, SparseOps.KEY_ORDER, SparseOps.KEY_OFFSETS, head, tokens);
      Tensor keep = golden.tensor(SparseOps.KEEP);
      int[] words = TestTensors.ints(keep);
      int rows = (int) keep.dims()[2];
      int columns = (int) keep.dims()[3];
      int text = golden.has("setting.text") ? (int) golden.setting("text") : 0;
      int position = text == 0 ? 0 : (int) golden.setting("position");
      mass = new double[tokens][tokens];
      kept = new boolean[tokens][tokens];
      video = new boolean[tokens];
      visible = new boolean[tokens];
      for (int t = 0; t < tokens; t++) {
        video[t] = position == 1 ? t >= text : t < tokens - text;
        visible[t] = biases[head / heads * tokens + t] > Float.NEGATIVE_INFINITY;
      }
      for (int i = 0; i < tokens; i++) {
        double sum = 0;
        for (int j = 0; j < tokens; j++) {
          double score = 0;
          for (int d = 0; d < dim; d++) {
            score += queries[(head * tokens + i) * dim + d] * keys[(head * tokens + j) * dim + d];
          }
          mass[i][j] =
              Math.exp(score * golden.setting("scale") + biases[head / heads * tokens + j]);
          sum += mass[i][j];
          int word = words[(head * rows + querySegment[i]) * columns + keySegment[j] / 32];
          kept[i][j] = (word >>> keySegment[j] % 32 & 1) == 1;
        }
        for (int j = 0; j < tokens; j++) {
          mass[i][j] /= sum;
        }
      }
    }

    private static int[] segments(
        Golden golden, String orders, String offsets, int head, int tokens) {
      int[] starts = TestTensors.ints(golden.tensor(offsets));
      int count = (int) golden.tensor(offsets).dims()[2];
      int[] order = TestTensors.ints(golden.tensor(orders));
      int[] segments = new int[tokens];
      for (int segment = 0; segment + 1 < count; segment++) {
        for (int p = starts[head * count + segment]; p < starts[head * count + segment + 1]; p++) {
          segments[order.length == 0 ? p : order[head * tokens + p]] = segment;
        }
      }
      return segments;
    }

    double density() {
      double pairs = 0;
      double keptPairs = 0;
      for (int i = 0; i < mass.length; i++) {
        for (int j = 0; j < mass.length; j++) {
          if (video[i] && video[j] && visible[j]) {
            pairs++;
            keptPairs += kept[i][j] ? 1 : 0;
          }
        }
      }
      return keptPairs / pairs;
    }

    double recall() {
      double rows = 0;
      double sum = 0;
      for (int i = 0; i < mass.length; i++) {
        rows += video[i] ? 1 : 0;
        for (int j = 0; j < mass.length; j++) {
          sum += video[i] && kept[i][j] ? mass[i][j] : 0;
        }
      }
      return sum / rows;
    }
  }

  private static Map<String, Tensor> inputs(Golden golden, MeasurePlan call, ActionCode action) {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    int last = golden.steps() - 1;
    inputs.put(SparseOps.Q, TestTensors.inLayout(call.layout(), golden.atStep("q", last)));
    inputs.put(SparseOps.K, TestTensors.inLayout(call.layout(), golden.atStep("k", last)));
    Planner.PLAN.forEach(tensor -> inputs.put(tensor, golden.tensor(tensor)));
    int tokens = (int) golden.tensor("v").dims()[2];
    int text = golden.has("setting.text") ? (int) golden.setting("text") : 0;
    inputs.put(SparseOps.GEOMETRY, Tensor.ofInts(new long[] {3}, 1, 1, tokens - text));
    if (call.keyBias()) {
      inputs.put(SparseOps.KEY_BIAS, golden.tensor(SparseOps.KEY_BIAS));
    }
    inputs.put(SparseOps.ACTION, TestTensors.action(action.code()));
    return inputs;
  }

  private static MeasurePlan call(
      Golden golden, Layout layout, int rows, TextPosition text, boolean bias) {
    return new MeasurePlan(0, layout, (float) golden.setting("scale"), rows, text, bias);
  }

  @ParameterizedTest
  @CsvSource({
    "ragged, BHSD, NONE, true",
    "ragged, BSHD, NONE, false",
    "planted, BHSD, NONE, false",
    "batch, BHSD, NONE, false",
    "many_clusters, BHSD, NONE, false",
    "text_first, BHSD, FIRST, false",
    "text_last, BSHD, LAST, true"
  })
  void isTheSumOverAllPairs(String name, Layout layout, TextPosition text, boolean bias) {
    Golden golden = Golden.read(name);
    MeasurePlan call = call(golden, layout, ALL_ROWS, text, bias);
    try (OneOp op = OneOp.load(call)) {
      OneOp.Outputs outputs = op.run(inputs(golden, call, ActionCode.REUSE_SPARSE));
      float[] density = TestTensors.floats(outputs.get(MeasurePlan.DENSITY));
      float[] recall = TestTensors.floats(outputs.get(MeasurePlan.RECALL));
      long[] dims = golden.tensor(SparseOps.KEEP).dims();
      assertThat(outputs.get(MeasurePlan.DENSITY).dims()).containsExactly(dims[0], dims[1]);
      for (int head = 0; head < density.length; head++) {
        Pairs pairs = new Pairs(golden, head, bias);
        assertThat((double) density[head]).isCloseTo(pairs.density(), within(1e-5));
        assertThat((double) recall[head]).isCloseTo(pairs.recall(), within(1e-4));
      }
    }
  }

  @Test
  void someRowsStandForAll() {
    Golden golden = Golden.read("planted");
    MeasurePlan some = call(golden, Layout.BHSD, 32, TextPosition.NONE, false);
    try (OneOp op = OneOp.load(some)) {
      float[] recall =
          TestTensors.floats(
              op.run(inputs(golden, some, ActionCode.PLAN_SPARSE)).get(MeasurePlan.RECALL));
      assertThat((double) recall[0])
          .isCloseTo(new Pairs(golden, 0, false).recall(), within(.05))
          .isNotEqualTo(new Pairs(golden, 0, false).recall());
    }
  }

  @Test
  void aDenseStepKeepsAll() {
    Golden golden = Golden.read("ragged");
    MeasurePlan call = call(golden, Layout.BHSD, 64, TextPosition.NONE, true);
    try (OneOp op = OneOp.load(call)) {
      OneOp.Outputs outputs = op.run(inputs(golden, call, ActionCode.PLAN_DENSE));
      for (String output : call.outputs()) {
        assertThat(TestTensors.floats(outputs.get(output))).containsOnly(1);
      }
    }
  }
}
