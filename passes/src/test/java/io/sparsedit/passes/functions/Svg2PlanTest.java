package io.sparsedit.passes.functions;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.ir.ValueType.TensorType;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class Svg2PlanTest {
  private static final Golden PLANTED = Golden.read("planted");
  private static final double TOLERANCE = 1e-5;

  /** Inputs with state of the given value, and a last plan of zeros where the call takes one. */
  private static Map<String, Tensor> inputs(
      Golden golden, Svg2Plan call, int step, float state, int action) {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    inputs.put(SparseOps.Q, TestTensors.inLayout(call.layout(), golden.atStep("q", step)));
    inputs.put(SparseOps.K, TestTensors.inLayout(call.layout(), golden.atStep("k", step)));
    inputs.put(SparseOps.GEOMETRY, golden.geometry());
    for (String centroids : List.of(Svg2Plan.Q_CENTROIDS, Svg2Plan.K_CENTROIDS)) {
      inputs.put(centroids, TestTensors.filled(state, golden.tensor(centroids).dims()));
    }
    if (call.planState()) {
      for (String tensor : Planner.PLAN) {
        long[] dims = golden.tensor(tensor).dims();
        inputs.put(Planner.last(tensor), Tensor.ofInts(dims, new int[TestTensors.count(dims)]));
      }
    }
    inputs.put(SparseOps.ACTION, TestTensors.action(action));
    return inputs;
  }

  private static Map<String, Tensor> cold(Golden golden, Svg2Plan call) {
    return inputs(golden, call, 0, Float.NaN, ActionCode.PLAN_SPARSE.cold());
  }

  private static OneOp.Outputs run(Svg2Plan call, Map<String, Tensor> inputs) {
    try (OneOp op = OneOp.load(call)) {
      return op.run(inputs);
    }
  }

  private static void assertGoldenState(OneOp.Outputs outputs, Golden golden, String prefix) {
    for (String centroids : List.of(Svg2Plan.Q_CENTROIDS, Svg2Plan.K_CENTROIDS)) {
      assertThat(
              TestTensors.relativeL1(
                  outputs.get("next_" + centroids), golden.tensor(prefix + centroids)))
          .as(centroids)
          .isLessThan(TOLERANCE);
    }
  }

  // ---- golden -----------------------------------------------------------------------------------

  @ParameterizedTest
  @CsvSource({
    "planted, BHSD",
    "planted, BSHD",
    "batch, BHSD",
    "batch, BSHD",
    "text_first, BHSD",
    "text_first, BSHD",
    "text_last, BHSD",
    "text_last, BSHD",
    "many_clusters, BHSD",
    "random, BHSD",
    "budget_mass, BHSD",
    "budget_mass, BSHD",
    "budget_per_token, BHSD",
    "budget_per_token, BSHD"
  })
  void makesTheGoldenPlanAndState(String name, Layout layout) {
    Golden golden = Golden.read(name);
    Svg2Plan call = golden.svg2(layout, false);
    OneOp.Outputs outputs = run(call, cold(golden, call));
    golden.assertPlan(outputs);
    assertGoldenState(outputs, golden, "first_");
  }

  @ParameterizedTest
  @ValueSource(longs = {16, 17, 18, 19, 20, 21, 22, 23, 24})
  void makesTheGoldenPlanInEveryOpset(long opset) {
    Golden golden = Golden.read("text_first");
    Svg2Plan call = golden.svg2(Layout.BHSD, true);
    try (OneOp op = OneOp.load(call, opset, DataType.FLOAT)) {
      golden.assertPlan(op.run(cold(golden, call)));
    }
  }

  @Test
  void takesFloat16() {
    Svg2Plan call = PLANTED.svg2(Layout.BHSD, false);
    Map<String, Tensor> inputs = cold(PLANTED, call);
    inputs.computeIfPresent(SparseOps.Q, (name, value) -> TestTensors.half(value));
    inputs.computeIfPresent(SparseOps.K, (name, value) -> TestTensors.half(value));
    try (OneOp op = OneOp.load(call, OneOp.OPSET, DataType.FLOAT16)) {
      OneOp.Outputs outputs = op.run(inputs);
      PLANTED.assertPlan(outputs);
      assertGoldenState(outputs, PLANTED, "");
    }
  }

  /** A cold step and nine warm ones on drifting tokens, state fed back. */
  @Test
  void tenStepsLeaveTheGoldenState() {
    Golden golden = Golden.read("ten_steps");
    Svg2Plan call = golden.svg2(Layout.BHSD, true);
    Map<String, Tensor> inputs = cold(golden, call);
    try (OneOp op = OneOp.load(call)) {
      OneOp.Outputs outputs = op.run(inputs);
      assertGoldenState(outputs, golden, "first_");
      for (int step = 1; step < golden.steps(); step++) {
        inputs = inputs(golden, call, step, 0, ActionCode.PLAN_SPARSE.code());
        PlannerContract.feedBack(call, outputs, inputs);
        outputs = op.run(inputs);
      }
      assertThat(golden.steps()).isEqualTo(10);
      golden.assertPlan(outputs);
      assertGoldenState(outputs, golden, "");
    }
  }

  /** The golden comparison notices one token in another cluster. */
  @Test
  void anotherTokenMakesAnotherPlan() {
    Svg2Plan call = PLANTED.svg2(Layout.BHSD, false);
    Map<String, Tensor> inputs = cold(PLANTED, call);
    inputs.computeIfPresent(
        SparseOps.Q,
        (name, q) -> {
          float[] elements = TestTensors.floats(q);
          int size = (int) q.dims()[3];
          for (int d = 0; d < size; d++) {
            elements[d] = -elements[d];
          }
          return Tensor.ofFloats(q.dims(), elements);
        });
    assertThat(TestTensors.ints(run(call, inputs).get(SparseOps.QUERY_ORDER)))
        .isNotEqualTo(TestTensors.ints(PLANTED.tensor(SparseOps.QUERY_ORDER)));
  }

  // ---- actions and state ------------------------------------------------------------------------

  /** Whatever does not plan returns state bit for bit, whatever the tokens are by then. */
  @ParameterizedTest
  @EnumSource(
      value = ActionCode.class,
      names = {"DENSE", "REUSE_SPARSE"})
  void aStepThatDoesNotPlanCopiesItsState(ActionCode action) {
    Svg2Plan call = PLANTED.svg2(Layout.BHSD, true);
    PlannerContract.assertCopiesItsState(call, cold(PLANTED, call), action);
  }

  @Test
  void planDensePlansAsPlanSparse() {
    Svg2Plan call = PLANTED.svg2(Layout.BHSD, false);
    PlannerContract.assertPlanDensePlansAsPlanSparse(call, cold(PLANTED, call));
  }

  /** Without a plan in state, the plan of a dense step is valid and keeps everything. */
  @ParameterizedTest
  @ValueSource(strings = {"batch", "text_first"})
  void aStepWithoutAPlanKeepsEverything(String name) {
    Golden golden = Golden.read(name);
    Svg2Plan call = golden.svg2(Layout.BHSD, false);
    OneOp.Outputs outputs = run(call, inputs(golden, call, 0, 2, ActionCode.DENSE.code()));
    assertThat(TestTensors.floats(outputs.get(Svg2Plan.NEXT_Q_CENTROIDS))).containsOnly(2f);
    PlannerContract.assertKeepsEverything(golden, outputs);
  }

  @Test
  void declaresItsState() {
    Svg2Plan call = PLANTED.svg2(Layout.BHSD, true);
    List<StateTensor> state = call.state(SiteShape.of(1, 2, 320, 16));
    assertThat(state)
        .extracting(StateTensor::name)
        .containsExactly(
            "q_centroids",
            "k_centroids",
            "query_order",
            "key_order",
            "query_offsets",
            "key_offsets",
            "keep");
    assertThat(call.inputs()).containsAll(state.stream().map(StateTensor::input).toList());
    assertThat(call.outputs()).containsAll(state.stream().map(StateTensor::output).toList());
    assertThat(state.get(0).graphInput(7)).isEqualTo("state.s7.q_centroids");
    assertThat(state.get(0).graphOutput(7)).isEqualTo("next.s7.q_centroids");
    for (StateTensor tensor : state) {
      assertThat(tensor.valueType())
          .isEqualTo(
              new TensorType(
                  tensor.type(),
                  Optional.of(
                      Arrays.stream(PLANTED.tensor(tensor.name()).dims())
                          .mapToObj(dim -> (DeclaredDim) new DeclaredDim.Fixed(dim))
                          .toList())));
    }
  }

  // ---- properties -------------------------------------------------------------------------------

  @Test
  void anEmptyClusterKeepsItsCentroid() {
    Svg2Plan call = PLANTED.svg2(Layout.BHSD, false);
    Map<String, Tensor> inputs = inputs(PLANTED, call, 0, 0, ActionCode.PLAN_SPARSE.code());
    inputs.put(Svg2Plan.Q_CENTROIDS, PLANTED.tensor(Svg2Plan.Q_CENTROIDS));
    float[] centroids = TestTensors.floats(PLANTED.tensor(Svg2Plan.K_CENTROIDS));
    Arrays.fill(centroids, 3 * 16, 4 * 16, 1000f);
    inputs.put(
        Svg2Plan.K_CENTROIDS,
        Tensor.ofFloats(PLANTED.tensor(Svg2Plan.K_CENTROIDS).dims(), centroids));
    OneOp.Outputs outputs = run(call, inputs);
    assertThat(TestTensors.floats(outputs.get(Svg2Plan.NEXT_K_CENTROIDS)))
        .containsSequence(Arrays.copyOfRange(centroids, 3 * 16, 4 * 16));
    int[] offsets = TestTensors.ints(outputs.get(SparseOps.KEY_OFFSETS));
    assertThat(offsets[4]).isEqualTo(offsets[3]);
    // An empty cluster has no mass: no query cluster visits it.
    int[] keep = TestTensors.ints(outputs.get(SparseOps.KEEP));
    assertThat(Arrays.stream(keep).limit(8)).allMatch(word -> (word >> 3 & 1) == 0);
  }

  /** Tokens that are all the same belong to the first cluster, in their own order. */
  @Test
  void tiesGoToTheLowerIndex() {
    Svg2Plan call = PLANTED.svg2(Layout.BHSD, false);
    Map<String, Tensor> inputs = cold(PLANTED, call);
    inputs.put(SparseOps.Q, TestTensors.filled(.3f, 1, 2, 320, 16));
    inputs.put(SparseOps.K, TestTensors.filled(.7f, 1, 2, 320, 16));
    OneOp.Outputs outputs = run(call, inputs);
    int[] order = TestTensors.ints(outputs.get(SparseOps.QUERY_ORDER));
    assertThat(order).isEqualTo(naturalOrder(2, 320));
    int[] offsets = TestTensors.ints(outputs.get(SparseOps.KEY_OFFSETS));
    assertThat(Arrays.stream(offsets).skip(1).limit(16)).containsOnly(320);
    assertThat(TestTensors.ints(outputs.get(SparseOps.KEEP))).containsOnly(1);
  }

  private static int[] naturalOrder(int heads, int tokens) {
    int[] order = new int[heads * tokens];
    Arrays.setAll(order, i -> i % tokens);
    return order;
  }

  @ParameterizedTest
  @ValueSource(floats = {.3f, .6f, .9f})
  void keepsTheShortestPrefixThatCrossesTopP(float topP) {
    Svg2Plan call = unclustered(topP, 0);
    Plan plan = Plan.of(call);
    for (int i = 0; i < call.queryClusters(); i++) {
      double[] kept = plan.keptMasses(i);
      double sum = Arrays.stream(kept).sum();
      double least = Arrays.stream(kept).min().orElseThrow();
      assertThat(sum).isGreaterThan(topP);
      assertThat(sum - least).isLessThanOrEqualTo(topP);
      assertThat(plan.greatestLeftOut(i)).isLessThanOrEqualTo(least);
    }
  }

  @Test
  void keepsAtLeastTheMinimum() {
    Svg2Plan call = unclustered(.01f, .3f);
    Plan plan = Plan.of(call);
    for (int i = 0; i < call.queryClusters(); i++) {
      assertThat(plan.keptMasses(i)).hasSize((int) Math.floor(.3f * call.keyClusters()));
    }
  }

  @ParameterizedTest
  @ValueSource(floats = {1f, 2f})
  void keepsEverythingFromTopPOfOneOn(float topP) {
    Plan plan = Plan.of(unclustered(topP, 0));
    assertThat(TestTensors.density(plan.outputs::get)).isEqualTo(1);
    assertThat(plan.keptMasses(0)).hasSize(40);
  }

  private static Svg2Plan unclustered(float topP, float minKept) {
    return random(new Selection.TopP(topP), minKept);
  }

  private static Svg2Plan random(Selection selection, float minKept) {
    return new Svg2Plan(
        0, Layout.BHSD, .5f, 6, 40, selection, minKept, 1, 3, TextPosition.NONE, false);
  }

  /** Each row reaches its budget, and would not without its last cluster. */
  @ParameterizedTest
  @ValueSource(floats = {.05f, .29f, .5f, .9f})
  void aBudgetByMassIsMetInEachRowAndExceededByLessThanACluster(float density) {
    Plan plan = Plan.of(random(new Selection.Budget(density, Selection.Ranking.MASS), 0));
    for (int i = 0; i < 6; i++) {
      double[] kept = plan.keptMasses(i);
      int keys = plan.keptKeys(i);
      assertThat(keys).isGreaterThanOrEqualTo((int) (density * 300));
      assertThat(keys - plan.keysOfLeast(i)).isLessThan((int) (density * 300 + .01));
      double least = Arrays.stream(kept).min().orElseThrow();
      assertThat(plan.greatestLeftOut(i)).isLessThanOrEqualTo(least);
    }
  }

  /** The head reaches its budget with the pairs that have the most mass for each key token. */
  @ParameterizedTest
  @ValueSource(floats = {.05f, .29f, .5f, .9f})
  void aBudgetByMassPerTokenIsMetInTheHead(float density) {
    Plan plan = Plan.of(random(new Selection.Budget(density, Selection.Ranking.MASS_PER_TOKEN), 0));
    double leastKept = Double.POSITIVE_INFINITY;
    double greatestLeftOut = 0;
    long pairs = 0;
    long pairsOfLeast = 0;
    long pairsOfFirsts = 0;
    for (int i = 0; i < 6; i++) {
      int first = plan.mostMassive(i);
      assertThat(plan.keeps(i, first)).isTrue();
      pairsOfFirsts += plan.pairs(i, first);
      for (int j = 0; j < 40; j++) {
        if (!plan.keeps(i, j)) {
          greatestLeftOut = Math.max(greatestLeftOut, plan.massPerToken(i, j));
        } else {
          pairs += plan.pairs(i, j);
          if (j != first && plan.massPerToken(i, j) < leastKept) {
            leastKept = plan.massPerToken(i, j);
            pairsOfLeast = plan.pairs(i, j);
          }
        }
      }
    }
    long budget = (long) (density * 300 * 300);
    assertThat(pairs).isGreaterThanOrEqualTo(budget);
    assertThat(pairs - pairsOfLeast).isLessThanOrEqualTo(Math.max(budget, pairsOfFirsts));
    assertThat(leastKept).isGreaterThanOrEqualTo(greatestLeftOut * (1 - 1e-5));
  }

  @ParameterizedTest
  @EnumSource(Selection.Ranking.class)
  void aBudgetOfOneKeepsEverything(Selection.Ranking ranking) {
    Plan plan = Plan.of(random(new Selection.Budget(1, ranking), 0));
    assertThat(TestTensors.density(plan.outputs::get)).isEqualTo(1);
    assertThat(plan.keptMasses(0)).hasSize(40);
  }

  @ParameterizedTest
  @EnumSource(Selection.Ranking.class)
  void theLeastNumberOfClustersIsKeptWithinABudgetToo(Selection.Ranking ranking) {
    Plan plan = Plan.of(random(new Selection.Budget(.01f, ranking), .2f));
    for (int i = 0; i < 6; i++) {
      assertThat(plan.keptMasses(i)).hasSizeGreaterThanOrEqualTo(8);
    }
  }

  /** A plan of random tokens, with the masses worked out in double precision. */
  private static final class Plan {
    final OneOp.Outputs outputs;
    private final double[][] masses;
    private final int words;

    private Plan(OneOp.Outputs outputs, double[][] masses, int words) {
      this.outputs = outputs;
      this.masses = masses;
      this.words = words;
    }

    static Plan of(Svg2Plan call) {
      int tokens = 300;
      int size = 8;
      Map<String, Tensor> inputs = new LinkedHashMap<>();
      inputs.put(SparseOps.Q, TestTensors.random(11, 1, 1, tokens, size));
      inputs.put(SparseOps.K, TestTensors.random(12, 1, 1, tokens, size));
      inputs.put(SparseOps.GEOMETRY, Tensor.ofInts(new long[] {3}, 1, 1, tokens));
      inputs.put(Svg2Plan.Q_CENTROIDS, TestTensors.filled(0, 1, 1, call.queryClusters(), size));
      inputs.put(Svg2Plan.K_CENTROIDS, TestTensors.filled(0, 1, 1, call.keyClusters(), size));
      inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.PLAN_SPARSE.cold()));
      OneOp.Outputs outputs = run(call, inputs);
      float[] q = TestTensors.floats(outputs.get(Svg2Plan.NEXT_Q_CENTROIDS));
      float[] k = TestTensors.floats(outputs.get(Svg2Plan.NEXT_K_CENTROIDS));
      int[] offsets = TestTensors.ints(outputs.get(SparseOps.KEY_OFFSETS));
      double[][] masses = new double[call.queryClusters()][call.keyClusters()];
      for (int i = 0; i < masses.length; i++) {
        for (int j = 0; j < masses[i].length; j++) {
          double score = 0;
          for (int d = 0; d < size; d++) {
            score += (double) q[i * size + d] * k[j * size + d];
          }
          masses[i][j] = (offsets[j + 1] - offsets[j]) * Math.exp(call.scale() * score);
        }
        double total = Arrays.stream(masses[i]).sum();
        masses[i] = Arrays.stream(masses[i]).map(mass -> mass / total).toArray();
      }
      return new Plan(outputs, masses, (call.keyClusters() + 31) / 32);
    }

    boolean keeps(int i, int j) {
      int word = TestTensors.ints(outputs.get(SparseOps.KEEP))[i * words + j / 32];
      return (word >> j % 32 & 1) == 1;
    }

    double[] keptMasses(int i) {
      return IntStream.range(0, masses[i].length)
          .filter(j -> keeps(i, j))
          .mapToDouble(j -> masses[i][j])
          .toArray();
    }

    private int size(String offsets, int segment) {
      int[] starts = TestTensors.ints(outputs.get(offsets));
      return starts[segment + 1] - starts[segment];
    }

    int mostMassive(int i) {
      return IntStream.range(0, masses[i].length)
          .boxed()
          .max(Comparator.comparingDouble(j -> masses[i][j]))
          .orElseThrow();
    }

    long pairs(int i, int j) {
      return (long) size(SparseOps.QUERY_OFFSETS, i) * size(SparseOps.KEY_OFFSETS, j);
    }

    double massPerToken(int i, int j) {
      return masses[i][j] / Math.max(1, size(SparseOps.KEY_OFFSETS, j));
    }

    int keptKeys(int i) {
      return IntStream.range(0, masses[i].length)
          .filter(j -> keeps(i, j))
          .map(j -> size(SparseOps.KEY_OFFSETS, j))
          .sum();
    }

    /** Keys of the kept cluster with the least mass. */
    int keysOfLeast(int i) {
      return IntStream.range(0, masses[i].length)
          .filter(j -> keeps(i, j))
          .boxed()
          .min(Comparator.comparingDouble(j -> masses[i][j]))
          .map(j -> size(SparseOps.KEY_OFFSETS, j))
          .orElseThrow();
    }

    double greatestLeftOut(int i) {
      return IntStream.range(0, masses[i].length)
          .filter(j -> !keeps(i, j))
          .mapToDouble(j -> masses[i][j])
          .max()
          .orElse(0);
    }
  }

  // ---- with the attention -----------------------------------------------------------------------

  /** The plan as the planner makes it, executed: near dense, and not near it with wrong labels. */
  @Test
  void aPlanOfPlantedClustersIsNearDense() {
    Svg2Plan call = PLANTED.svg2(Layout.BHSD, false);
    OneOp.Outputs plan = run(call, cold(PLANTED, call));
    BlockSparseAttention attention =
        new BlockSparseAttention(0, Layout.BHSD, call.scale(), false, true);
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    inputs.put(SparseOps.Q, PLANTED.atStep("q", 0));
    inputs.put(SparseOps.K, PLANTED.atStep("k", 0));
    inputs.put(SparseOps.V, PLANTED.tensor("v"));
    Planner.PLAN.forEach(tensor -> inputs.put(tensor, plan.get(tensor)));
    inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.PLAN_SPARSE.code()));
    assertThat(TestTensors.density(plan::get)).isLessThan(.3);
    try (OneOp op = OneOp.load(attention)) {
      double compensated =
          TestTensors.relativeL1(op.run(inputs).get(SparseOps.O), PLANTED.tensor("dense"));
      double dropped = TestTensors.relativeL1(PLANTED.tensor("o"), PLANTED.tensor("dense"));
      assertThat(dropped).isLessThan(.1);
      assertThat(compensated).isLessThan(dropped);

      int[] wrong = TestTensors.permutation(new Random(2), 320);
      int[] order = new int[2 * 320];
      Arrays.setAll(order, i -> wrong[i % 320]);
      inputs.put(SparseOps.QUERY_ORDER, Tensor.ofInts(new long[] {1, 2, 320}, order));
      assertThat(TestTensors.relativeL1(op.run(inputs).get(SparseOps.O), PLANTED.tensor("dense")))
          .isGreaterThan(.1);
    }
  }
}
