package io.sparsedit.passes.functions;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class AdaSpaPlanTest {
  private static final Golden PLANTED = Golden.read("adaspa_planted");
  private static final double TOLERANCE = 1e-5;

  /** Inputs with an LSE of the given value, and a last plan of zeros where the call takes one. */
  private static Map<String, Tensor> inputs(
      Golden golden, AdaSpaPlan call, int step, float state, int action) {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    inputs.put(SparseOps.Q, TestTensors.inLayout(call.layout(), golden.atStep("q", step)));
    inputs.put(SparseOps.K, TestTensors.inLayout(call.layout(), golden.atStep("k", step)));
    inputs.put(SparseOps.GEOMETRY, golden.geometry());
    if (call.keyBias()) {
      inputs.put(SparseOps.KEY_BIAS, golden.tensor(SparseOps.KEY_BIAS));
    }
    inputs.put(AdaSpaPlan.LSE, TestTensors.filled(state, golden.tensor(AdaSpaPlan.LSE).dims()));
    if (call.planState()) {
      long[] dims = golden.tensor(SparseOps.KEEP).dims();
      inputs.put(
          Planner.last(SparseOps.KEEP), Tensor.ofInts(dims, new int[TestTensors.count(dims)]));
    }
    inputs.put(SparseOps.ACTION, TestTensors.action(action));
    return inputs;
  }

  private static Map<String, Tensor> cold(Golden golden, AdaSpaPlan call) {
    return inputs(golden, call, 0, Float.NaN, ActionCode.PLAN_SPARSE.cold());
  }

  private static OneOp.Outputs run(AdaSpaPlan call, Map<String, Tensor> inputs) {
    try (OneOp op = OneOp.load(call)) {
      return op.run(inputs);
    }
  }

  private static void assertGoldenLse(OneOp.Outputs outputs, Golden golden) {
    assertThat(
            TestTensors.relativeL1(outputs.get(AdaSpaPlan.NEXT_LSE), golden.tensor(AdaSpaPlan.LSE)))
        .isLessThan(TOLERANCE);
  }

  // ---- golden -----------------------------------------------------------------------------------

  @ParameterizedTest
  @CsvSource({
    "adaspa_planted, BHSD",
    "adaspa_planted, BSHD",
    "adaspa_text_first, BHSD",
    "adaspa_text_first, BSHD",
    "adaspa_text_last, BHSD",
    "adaspa_text_last, BSHD"
  })
  void makesTheGoldenPlanStateAndOutput(String name, Layout layout) {
    Golden golden = Golden.read(name);
    AdaSpaPlan call = golden.adaSpa(layout, false);
    OneOp.Outputs outputs = run(call, cold(golden, call));
    golden.assertPlan(outputs);
    assertGoldenLse(outputs, golden);
    assertThat(
            TestTensors.relativeL1(
                golden.attend(layout, 0, outputs::get, ActionCode.PLAN_SPARSE), golden.tensor("o")))
        .isLessThan(TOLERANCE);
    assertThat(
            TestTensors.relativeL1(
                golden.attend(layout, 0, outputs::get, ActionCode.PLAN_DENSE),
                golden.tensor("dense")))
        .isLessThan(TOLERANCE);
  }

  @ParameterizedTest
  @ValueSource(longs = {16, 17, 18, 19, 20, 21, 22, 23, 24})
  void makesTheGoldenPlanInEveryOpset(long opset) {
    Golden golden = Golden.read("adaspa_text_last");
    AdaSpaPlan call = golden.adaSpa(Layout.BHSD, true);
    try (OneOp op = OneOp.load(call, opset, DataType.FLOAT)) {
      golden.assertPlan(op.run(cold(golden, call)));
    }
  }

  @Test
  void takesFloat16() {
    AdaSpaPlan call = PLANTED.adaSpa(Layout.BSHD, false);
    Map<String, Tensor> inputs = cold(PLANTED, call);
    inputs.computeIfPresent(SparseOps.Q, (name, value) -> TestTensors.half(value));
    inputs.computeIfPresent(SparseOps.K, (name, value) -> TestTensors.half(value));
    try (OneOp op = OneOp.load(call, OneOp.OPSET, DataType.FLOAT16)) {
      OneOp.Outputs outputs = op.run(inputs);
      PLANTED.assertPlan(outputs);
      assertGoldenLse(outputs, PLANTED);
    }
  }

  /** Searches at steps 0 (COLD), 4 and 7 with the LSE of step 0, reuse between; tokens drift. */
  @Test
  void tenStepsLeaveTheGoldenState() {
    Golden golden = Golden.read("adaspa_ten_steps");
    AdaSpaPlan call = golden.adaSpa(Layout.BHSD, true);
    assertThat(golden.steps()).isEqualTo(10);
    try (OneOp op = OneOp.load(call)) {
      OneOp.Outputs planned = op.run(cold(golden, call));
      int[] coldKeep = TestTensors.ints(planned.get(SparseOps.KEEP));
      OneOp.Outputs outputs = planned;
      for (int step = 1; step < golden.steps(); step++) {
        boolean searches = step == 4 || step == 7;
        ActionCode action = searches ? ActionCode.PLAN_SPARSE : ActionCode.REUSE_SPARSE;
        Map<String, Tensor> inputs = inputs(golden, call, step, 0, action.code());
        PlannerContract.feedBack(call, outputs, inputs);
        outputs = op.run(inputs);
        if (searches) {
          planned = outputs;
        }
        for (String tensor : call.outputs()) {
          assertThat(TestTensors.same(outputs.get(tensor), planned.get(tensor)))
              .as(tensor + " at step " + step)
              .isTrue();
        }
      }
      golden.assertPlan(outputs);
      assertGoldenLse(outputs, golden);
      // The searches found something else than the first one, and with its LSE than a COLD one.
      assertThat(TestTensors.ints(outputs.get(SparseOps.KEEP))).isNotEqualTo(coldKeep);
      Tensor o = golden.attend(Layout.BHSD, 9, outputs::get, ActionCode.REUSE_SPARSE);
      assertThat(TestTensors.relativeL1(o, golden.tensor("o"))).isLessThan(TOLERANCE);
    }
  }

  /** At density .2 the planted blocks are found, and what is lost by wrong ones shows. */
  @Test
  void findsPlantedBlocksAndNothingElseWillDo() {
    AdaSpaPlan call = PLANTED.adaSpa(Layout.BHSD, false);
    OneOp.Outputs plan = run(call, cold(PLANTED, call));
    assertThat(TestTensors.density(plan::get)).isCloseTo(.2, within(1e-6));
    assertThat(error(plan.tensors())).isLessThan(.15);

    int[] keep = TestTensors.ints(plan.get(SparseOps.KEEP));
    int[] rotated = Arrays.stream(keep).map(word -> word << 1 & (1 << 20) - 1).toArray();
    int[] otherRow = new int[keep.length];
    Arrays.setAll(otherRow, i -> keep[(i + 1) % keep.length]);
    for (int[] wrong : List.of(rotated, otherRow)) {
      Map<String, Tensor> changed = new LinkedHashMap<>(plan.tensors());
      changed.put(SparseOps.KEEP, Tensor.ofInts(plan.get(SparseOps.KEEP).dims(), wrong));
      assertThat(error(changed)).isGreaterThan(.3);
    }
    int[] offsets = TestTensors.ints(plan.get(SparseOps.KEY_OFFSETS));
    int[] shifted = Arrays.stream(offsets).map(o -> o % 160 == 0 ? o : o + 4).toArray();
    Map<String, Tensor> changed = new LinkedHashMap<>(plan.tensors());
    changed.put(
        SparseOps.KEY_OFFSETS, Tensor.ofInts(plan.get(SparseOps.KEY_OFFSETS).dims(), shifted));
    assertThat(error(changed)).isGreaterThan(.3);
  }

  private static double error(Map<String, Tensor> plan) {
    Tensor o = PLANTED.attend(Layout.BHSD, 0, plan::get, ActionCode.PLAN_SPARSE);
    return TestTensors.relativeL1(o, PLANTED.tensor("dense"));
  }

  // ---- actions and state ------------------------------------------------------------------------

  @ParameterizedTest
  @EnumSource(
      value = ActionCode.class,
      names = {"DENSE", "REUSE_SPARSE"})
  void aStepThatDoesNotPlanCopiesItsState(ActionCode action) {
    AdaSpaPlan call = PLANTED.adaSpa(Layout.BHSD, true);
    PlannerContract.assertCopiesItsState(call, cold(PLANTED, call), action);
  }

  @Test
  void planDensePlansAsPlanSparse() {
    AdaSpaPlan call = PLANTED.adaSpa(Layout.BHSD, false);
    PlannerContract.assertPlanDensePlansAsPlanSparse(call, cold(PLANTED, call));
  }

  /** Rows whose cached LSE is low count for more, so that the blocks they look at are kept. */
  @Test
  void aWarmSearchWeighsRowsByTheCachedLse() {
    AdaSpaPlan call = new AdaSpaPlan(0, Layout.BHSD, 1, 2, .5f, 2, TextPosition.NONE, false, false);
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    // Query 0 looks at key block 0, query 1 at key block 1; both are in query block 0.
    inputs.put(SparseOps.Q, Tensor.ofFloats(new long[] {1, 1, 4, 2}, 3, 0, 0, 3, 1, 0, 1, 0));
    inputs.put(SparseOps.K, Tensor.ofFloats(new long[] {1, 1, 4, 2}, 1, 0, 1, 0, 0, 1, 0, 1));
    inputs.put(SparseOps.GEOMETRY, Tensor.ofInts(new long[] {3}, 1, 1, 4));
    inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.PLAN_SPARSE.code()));
    try (OneOp op = OneOp.load(call)) {
      for (int favoured : new int[] {0, 1}) {
        float[] lse = {4, 4, 4, 4};
        lse[favoured] = 3;
        inputs.put(AdaSpaPlan.LSE, Tensor.ofFloats(new long[] {1, 1, 4}, lse));
        OneOp.Outputs outputs = op.run(inputs);
        assertThat(TestTensors.ints(outputs.get(SparseOps.KEEP))[0]).isEqualTo(1 << favoured);
        assertThat(TestTensors.floats(outputs.get(AdaSpaPlan.NEXT_LSE))).containsExactly(lse);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"adaspa_planted", "adaspa_text_first", "adaspa_text_last"})
  void aStepWithoutAPlanKeepsEverything(String name) {
    Golden golden = Golden.read(name);
    AdaSpaPlan call = golden.adaSpa(Layout.BHSD, false);
    OneOp.Outputs outputs = run(call, inputs(golden, call, 0, 2, ActionCode.DENSE.code()));
    assertThat(TestTensors.floats(outputs.get(AdaSpaPlan.NEXT_LSE))).containsOnly(2f);
    PlannerContract.assertKeepsEverything(golden, outputs);
  }

  @Test
  void declaresItsState() {
    Golden golden = Golden.read("adaspa_text_last");
    AdaSpaPlan call = golden.adaSpa(Layout.BHSD, true);
    List<StateTensor> state = call.state(SiteShape.of(2, 3, 123, 8));
    assertThat(state).extracting(StateTensor::name).containsExactly("lse", "keep");
    assertThat(call.inputs()).containsAll(state.stream().map(StateTensor::input).toList());
    assertThat(call.outputs()).containsAll(state.stream().map(StateTensor::output).toList());
    for (StateTensor tensor : state) {
      assertThat(tensor.dims())
          .isEqualTo(
              Arrays.stream(golden.tensor(tensor.name()).dims())
                  .mapToObj(dim -> (DeclaredDim) new DeclaredDim.Fixed(dim))
                  .toList());
    }
    DeclaredDim two = new DeclaredDim.Fixed(2);
    SiteShape symbolic = new SiteShape(two, two, new DeclaredDim.Named("f * hw + 7"), two);
    assertThat(call.state(symbolic).get(1).dims().subList(2, 4))
        .containsExactly(
            new DeclaredDim.Named("(f * hw + 7 + 7)//8 + 1"),
            new DeclaredDim.Named("((f * hw + 7 + 7)//8 + 1 + 31)//32"));
  }

  /** One model, two geometries: the text segment takes what is not video. */
  @Test
  void theGeometryDecidesWhatIsText() {
    Golden golden = Golden.read("adaspa_text_first");
    AdaSpaPlan call = golden.adaSpa(Layout.BHSD, false);
    Map<String, Tensor> inputs = cold(golden, call);
    try (OneOp op = OneOp.load(call)) {
      op.run(inputs);
      inputs.put(SparseOps.GEOMETRY, Tensor.ofInts(new long[] {3}, 3, 4, 8));
      OneOp.Outputs outputs = op.run(inputs);
      int[] offsets = Arrays.copyOf(TestTensors.ints(outputs.get(SparseOps.QUERY_OFFSETS)), 19);
      assertThat(offsets)
          .containsExactly(
              0, 35, 43, 51, 59, 67, 75, 83, 91, 99, 107, 115, 123, 131, 131, 131, 131, 131, 131);
      int[] keep = TestTensors.ints(outputs.get(SparseOps.KEEP));
      assertThat(keep[0]).isEqualTo((1 << 18) - 1);
      // 12 video blocks at density .25 and .125: text, and 3, or 2 and 5 of them; nothing else.
      assertThat(Arrays.stream(keep).skip(1).limit(12))
          .allMatch(word -> (word & 1) == 1 && word >>> 13 == 0 && Integer.bitCount(word) <= 6);
      assertThat(Arrays.stream(keep).skip(13).limit(5)).containsOnly(1);
    }
  }

  // ---- properties -------------------------------------------------------------------------------

  /** Random tokens without text. */
  private static Map<String, Tensor> random(int batch, float[] sharpness, int tokens, int size) {
    int heads = sharpness.length;
    float[] q = TestTensors.floats(TestTensors.random(5, batch, heads, tokens, size));
    for (int i = 0; i < q.length; i++) {
      q[i] *= sharpness[i / (tokens * size) % heads];
    }
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    inputs.put(SparseOps.Q, Tensor.ofFloats(new long[] {batch, heads, tokens, size}, q));
    inputs.put(SparseOps.K, TestTensors.random(6, batch, heads, tokens, size));
    inputs.put(SparseOps.GEOMETRY, Tensor.ofInts(new long[] {3}, 1, 1, tokens));
    inputs.put(AdaSpaPlan.LSE, TestTensors.filled(Float.NaN, batch, heads, tokens));
    inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.PLAN_SPARSE.cold()));
    return inputs;
  }

  private static AdaSpaPlan blocksOf8(float density, float threshold) {
    return new AdaSpaPlan(
        0, Layout.BHSD, .5f, 8, density, threshold, TextPosition.NONE, false, false);
  }

  /** Kept blocks of each head, which are the same for all its rows. */
  private static int[] keptBlocks(OneOp.Outputs outputs, int rows) {
    int[] keep = TestTensors.ints(outputs.get(SparseOps.KEEP));
    return IntStream.range(0, keep.length / rows)
        .map(
            head -> {
              int[] counts =
                  Arrays.stream(keep, head * rows, (head + 1) * rows)
                      .map(Integer::bitCount)
                      .distinct()
                      .toArray();
              assertThat(counts).hasSize(1);
              return counts[0];
            })
        .toArray();
  }

  /** Heads of high recall give what heads of low recall take, in each element of the batch. */
  @Test
  void conservesTheMeanDensity() {
    float[] sharpness = {.1f, 3, .2f, 5, 1, .3f, 4};
    Map<String, Tensor> inputs = random(2, sharpness, 160, 8);
    int[] kept = keptBlocks(run(blocksOf8(.2f, .45f), inputs), 20);
    for (int batch = 0; batch < 2; batch++) {
      int[] ofElement = Arrays.copyOfRange(kept, 7 * batch, 7 * batch + 7);
      assertThat(Arrays.stream(ofElement).sum()).isEqualTo(7 * 4);
      assertThat(ofElement[3]).isEqualTo(2);
      assertThat(ofElement[0]).isEqualTo(6);
      assertThat(Arrays.stream(ofElement).boxed()).containsOnly(2, 4, 6);
    }
    // With a threshold that all heads are above, half of the heads give: 3 of 7.
    int[] all = keptBlocks(run(blocksOf8(.2f, 0), inputs), 20);
    assertThat(Arrays.stream(all).filter(count -> count == 2).count()).isEqualTo(6);
    assertThat(Arrays.stream(all).filter(count -> count == 6).count()).isEqualTo(6);
    // With one that none is above, none does.
    assertThat(keptBlocks(run(blocksOf8(.2f, 2), inputs), 20)).containsOnly(4);
    // Where 1.5 times the density is more than all, as much is given as can be taken.
    assertThat(keptBlocks(run(blocksOf8(.8f, 0), inputs), 20)).containsOnly(12, 16, 20);
  }

  @ParameterizedTest
  @ValueSource(floats = {.001f, .05f, .1f, .29f, .333f, .5f, .775f, .99f})
  void meetsTheBudgetToLessThanASegment(float density) {
    int kept = keptBlocks(run(blocksOf8(density, 2), random(1, new float[] {1}, 157, 8)), 20)[0];
    assertThat(kept).isBetween(1, 20);
    assertThat(kept - density * 20).isLessThan(1).isGreaterThan(-.5001f);
  }

  @Test
  void densityOneKeepsEverything() {
    OneOp.Outputs outputs = run(blocksOf8(1, .8f), random(1, new float[] {1, 9}, 157, 8));
    assertThat(TestTensors.density(outputs::get)).isEqualTo(1);
  }

  /** Tokens that are all the same: all masses and recalls are equal. */
  @Test
  void tiesGoToTheLowerIndex() {
    Map<String, Tensor> inputs = random(1, new float[] {1, 1, 1, 1}, 160, 8);
    inputs.put(SparseOps.Q, TestTensors.filled(.3f, 1, 4, 160, 8));
    inputs.put(SparseOps.K, TestTensors.filled(.3f, 1, 4, 160, 8));
    int[] keep = TestTensors.ints(run(blocksOf8(.2f, .1f), inputs).get(SparseOps.KEEP));
    assertThat(Arrays.stream(keep).distinct()).containsExactly(0b11, 0b111111);
    assertThat(Arrays.stream(keep).limit(40)).containsOnly(0b11);
  }

  /** An element of the batch whose keys are all masked out leaves a valid plan. */
  @Test
  void masksMayHideEveryKey() {
    AdaSpaPlan call =
        new AdaSpaPlan(0, Layout.BHSD, .5f, 8, .2f, .3f, TextPosition.NONE, true, false);
    Map<String, Tensor> inputs = random(2, new float[] {1, 3}, 80, 8);
    float[] bias = new float[160];
    Arrays.fill(bias, 80, 160, Float.NEGATIVE_INFINITY);
    inputs.put(SparseOps.KEY_BIAS, Tensor.ofFloats(new long[] {2, 1, 1, 80}, bias));
    OneOp.Outputs outputs = run(call, inputs);
    float[] lse = TestTensors.floats(outputs.get(AdaSpaPlan.NEXT_LSE));
    assertThat(Arrays.copyOfRange(lse, 160, 320)).containsOnly(Float.POSITIVE_INFINITY);
    assertThat(keptBlocks(outputs, 10)).containsExactlyInAnyOrder(3, 1, 3, 1);
    OneOp.Outputs unbiased = run(blocksOf8(.2f, .3f), inputsWithoutBias(inputs));
    assertThat(Arrays.copyOf(lse, 160))
        .containsExactly(Arrays.copyOf(TestTensors.floats(unbiased.get(AdaSpaPlan.NEXT_LSE)), 160));
  }

  private static Map<String, Tensor> inputsWithoutBias(Map<String, Tensor> inputs) {
    Map<String, Tensor> without = new LinkedHashMap<>(inputs);
    without.remove(SparseOps.KEY_BIAS);
    return without;
  }

  /** With its own LSE, what a row of blocks sums up to is how many tokens it has. */
  @ParameterizedTest
  @CsvSource({"157, 8", "2100, 64", "5, 64"})
  void theMassOfARowOfBlocksIsItsNumberOfTokens(int tokens, int blockSize) {
    AdaSpaPlan call =
        new AdaSpaPlan(0, Layout.BHSD, .5f, blockSize, .5f, .8f, TextPosition.NONE, false, false);
    Map<String, Tensor> inputs = random(1, new float[] {1, 4}, tokens, 8);
    try (OneOp op = OneOp.load(new BlockMass(call))) {
      float[] mass = TestTensors.floats(op.run(inputs).get(BlockMass.MASS));
      int blocks = (tokens + blockSize - 1) / blockSize;
      assertThat(mass).hasSize(2 * blocks * blocks);
      for (int row = 0; row < 2 * blocks; row++) {
        double sum = 0;
        for (int column = 0; column < blocks; column++) {
          sum += mass[row * blocks + column];
        }
        int size = Math.min(blockSize, tokens - row % blocks * blockSize);
        assertThat(sum).isCloseTo(size, within(1e-4 * size));
      }
    }
  }

  /** A search whose result is W itself. */
  private record BlockMass(AdaSpaPlan call) implements SparseOp {
    static final String MASS = "mass";

    @Override
    public String opType() {
      return "BlockMass";
    }

    @Override
    public String overload() {
      return call.overload();
    }

    @Override
    public List<String> inputs() {
      return call.inputs();
    }

    @Override
    public List<String> outputs() {
      return List.of(MASS);
    }

    @Override
    public Map<String, Attribute> attributes() {
      return call.attributes();
    }

    @Override
    public Function function(long opset) {
      return Ops.function(this, opset, "W", this::body);
    }

    private Map<String, Value> body(Ops ops, Map<String, Value> inputs) {
      Value q = Ops.lookup(inputs, SparseOps.Q);
      Heads heads = new Heads(ops, q);
      VideoTokens tokens =
          VideoTokens.of(ops, TextPosition.NONE, q, Ops.lookup(inputs, SparseOps.GEOMETRY));
      VideoBlocks blocks = VideoBlocks.of(ops, tokens, ops.intAttribute(AdaSpaPlan.BLOCK_SIZE));
      List<Value> searched =
          AdaSpaPlanFunction.searchAll(
              ops, call, inputs, heads, blocks, ops.bool(true), ops.i64(1));
      return Map.of(MASS, heads.join(ops, searched.get(1)));
    }
  }

  @Test
  void refusesSettingsThatMeanNothing() {
    assertThatThrownBy(
            () -> new AdaSpaPlan(0, Layout.BHSD, 1, 0, .2f, 1, TextPosition.NONE, false, false))
        .hasMessage("a block has at least one token");
    for (float density : new float[] {0, -1, Float.NaN}) {
      assertThatThrownBy(() -> blocksOf8(density, 1)).hasMessage("density is above 0");
    }
    assertThatThrownBy(() -> blocksOf8(.2f, 1).function(15))
        .hasMessage("AdaSpaPlan needs opset 16 or later, not 15");
  }

  /** Calls that differ in what a body cannot decide at run time call different functions. */
  @Test
  void overloadsHaveNamesOfTheirOwn() {
    Random random = new Random(3);
    Set<String> names = new java.util.TreeSet<>();
    for (Layout layout : Layout.values()) {
      for (TextPosition text : TextPosition.values()) {
        for (boolean bias : new boolean[] {false, true}) {
          for (boolean reuse : new boolean[] {false, true}) {
            float density = .1f + random.nextFloat();
            names.add(new AdaSpaPlan(1, layout, 2, 64, density, .8f, text, bias, reuse).overload());
          }
        }
      }
    }
    assertThat(names).hasSize(24).contains("bhsd", "bshd_text_last_bias_reuse");
  }
}
