package io.sparsedit.passes.functions;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class SvgPlanTest {
  private static final Golden PLANTED = Golden.read("svg_planted");
  private static final double TOLERANCE = 1e-5;

  /** Inputs with last classes of the given value where the call takes them. */
  private static Map<String, Tensor> inputs(
      Golden golden, SvgPlan call, int step, int state, int action) {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    Tensor v = golden.has("values") ? golden.atStep("values", step) : golden.tensor("v");
    inputs.put(SparseOps.Q, TestTensors.inLayout(call.layout(), golden.atStep("q", step)));
    inputs.put(SparseOps.K, TestTensors.inLayout(call.layout(), golden.atStep("k", step)));
    inputs.put(SparseOps.V, TestTensors.inLayout(call.layout(), v));
    inputs.put(SparseOps.GEOMETRY, golden.geometry());
    if (call.keyBias()) {
      inputs.put(SparseOps.KEY_BIAS, golden.tensor(SparseOps.KEY_BIAS));
    }
    if (call.planState()) {
      long[] dims = golden.tensor(SvgPlan.HEAD_CLASSES).dims();
      int[] classes = new int[TestTensors.count(dims)];
      Arrays.fill(classes, state);
      inputs.put(SvgPlan.HEAD_CLASSES, Tensor.ofInts(dims, classes));
    }
    inputs.put(SparseOps.ACTION, TestTensors.action(action));
    return inputs;
  }

  private static Map<String, Tensor> cold(Golden golden, SvgPlan call) {
    return inputs(golden, call, 0, -1, ActionCode.PLAN_SPARSE.cold());
  }

  private static OneOp.Outputs run(SvgPlan call, Map<String, Tensor> inputs) {
    try (OneOp op = OneOp.load(call)) {
      return op.run(inputs);
    }
  }

  private static void assertGoldenClasses(OneOp.Outputs outputs, Golden golden) {
    assertThat(TestTensors.ints(outputs.get(SvgPlan.NEXT_HEAD_CLASSES)))
        .containsExactly(TestTensors.ints(golden.tensor(SvgPlan.HEAD_CLASSES)));
  }

  // ---- golden -----------------------------------------------------------------------------------

  /** The golden output comes from masks that are conjugated by the order, without a plan. */
  @ParameterizedTest
  @CsvSource({
    "svg_planted, BHSD",
    "svg_planted, BSHD",
    "svg_sink_published, BHSD",
    "svg_sink_corrected, BHSD",
    "svg_sink_corrected, BSHD",
    "svg_budget, BHSD",
    "svg_text_first, BHSD",
    "svg_text_first, BSHD",
    "svg_text_last, BHSD",
    "svg_text_last, BSHD"
  })
  void makesTheGoldenPlanClassesAndOutput(String name, Layout layout) {
    Golden golden = Golden.read(name);
    SvgPlan call = golden.svg(layout, true);
    OneOp.Outputs outputs = run(call, cold(golden, call));
    assertGoldenClasses(outputs, golden);
    golden.assertPlan(outputs);
    assertThat(
            TestTensors.relativeL1(
                golden.attend(layout, 0, outputs::get, ActionCode.PLAN_SPARSE), golden.tensor("o")))
        .isLessThan(TOLERANCE);
  }

  @ParameterizedTest
  @ValueSource(longs = {16, 17, 18, 19, 20, 21, 22, 23, 24})
  void makesTheGoldenPlanInEveryOpset(long opset) {
    for (String name : List.of("svg_text_last", "svg_budget")) {
      Golden golden = Golden.read(name);
      SvgPlan call = golden.svg(Layout.BHSD, true);
      try (OneOp op = OneOp.load(call, opset, DataType.FLOAT)) {
        golden.assertPlan(op.run(cold(golden, call)));
      }
    }
  }

  @Test
  void takesFloat16() {
    SvgPlan call = PLANTED.svg(Layout.BSHD, true);
    Map<String, Tensor> inputs = cold(PLANTED, call);
    for (String tensor : List.of(SparseOps.Q, SparseOps.K, SparseOps.V)) {
      inputs.computeIfPresent(tensor, (name, value) -> TestTensors.half(value));
    }
    try (OneOp op = OneOp.load(call, OneOp.OPSET, DataType.FLOAT16)) {
      PLANTED.assertPlan(op.run(inputs));
    }
  }

  /** Plans at steps 0, 3 and 8, reuse between; the classes of the heads turn round all along. */
  @Test
  void tenStepsLeaveTheGoldenState() {
    Golden golden = Golden.read("svg_ten_steps");
    SvgPlan call = golden.svg(Layout.BHSD, true);
    assertThat(golden.steps()).isEqualTo(10);
    try (OneOp op = OneOp.load(call)) {
      OneOp.Outputs planned = op.run(cold(golden, call));
      OneOp.Outputs outputs = planned;
      for (int step = 1; step < golden.steps(); step++) {
        boolean plans = step == 3 || step == 8;
        ActionCode action = plans ? ActionCode.PLAN_SPARSE : ActionCode.REUSE_SPARSE;
        Map<String, Tensor> inputs = inputs(golden, call, step, 0, action.code());
        inputs.put(SvgPlan.HEAD_CLASSES, outputs.get(SvgPlan.NEXT_HEAD_CLASSES));
        outputs = op.run(inputs);
        if (plans) {
          assertThat(TestTensors.ints(outputs.get(SvgPlan.NEXT_HEAD_CLASSES)))
              .isNotEqualTo(TestTensors.ints(planned.get(SvgPlan.NEXT_HEAD_CLASSES)));
          planned = outputs;
        }
        for (String tensor : call.outputs()) {
          assertThat(TestTensors.same(outputs.get(tensor), planned.get(tensor)))
              .as(tensor + " at step " + step)
              .isTrue();
        }
      }
      assertGoldenClasses(outputs, golden);
      golden.assertPlan(outputs);
      Tensor o = golden.attend(Layout.BHSD, 9, outputs::get, ActionCode.REUSE_SPARSE);
      assertThat(TestTensors.relativeL1(o, golden.tensor("o"))).isLessThan(TOLERANCE);
    }
  }

  /** At density .245 the planted classes hold most of the mass, and nothing else does. */
  @Test
  void findsPlantedClassesAndNothingElseWillDo() {
    SvgPlan call = PLANTED.svg(Layout.BHSD, true);
    Map<String, Tensor> inputs = cold(PLANTED, call);
    try (OneOp op = OneOp.load(call)) {
      OneOp.Outputs plan = op.run(inputs);
      assertThat(TestTensors.ints(plan.get(SvgPlan.NEXT_HEAD_CLASSES))).containsExactly(0, 1, 1, 0);
      assertThat(TestTensors.density(plan::get)).isLessThan(.3);
      double error = error(plan.tensors());
      assertThat(error).isLessThan(.3);

      inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.REUSE_SPARSE.code()));
      inputs.put(SvgPlan.HEAD_CLASSES, Tensor.ofInts(new long[] {1, 4}, 1, 0, 0, 1));
      assertThat(error(op.run(inputs).tensors())).isGreaterThan(2 * error);

      int[] offsets = TestTensors.ints(plan.get(SparseOps.KEY_OFFSETS));
      int[] order = TestTensors.ints(plan.get(SparseOps.KEY_ORDER));
      int[] keep = TestTensors.ints(plan.get(SparseOps.KEEP));
      int[] laterKeep = new int[keep.length];
      Arrays.setAll(laterKeep, i -> keep[(i + 4 * keep.length / 100) % keep.length]);
      Map<String, int[]> wrong =
          Map.of(
              SparseOps.KEY_OFFSETS,
              Arrays.stream(offsets).map(o -> o % 168 == 0 ? o : Math.max(0, o - 24)).toArray(),
              SparseOps.KEY_ORDER,
              IntStream.range(0, order.length)
                  .map(i -> order[i / 168 * 168 + (i + 30) % 168])
                  .toArray(),
              SparseOps.KEEP,
              laterKeep);
      wrong.forEach(
          (tensor, elements) -> {
            Map<String, Tensor> changed = new LinkedHashMap<>(plan.tensors());
            changed.put(tensor, Tensor.ofInts(plan.get(tensor).dims(), elements));
            assertThat(error(changed)).as(tensor).isGreaterThan(1.5 * error);
          });
    }
  }

  /** Values that are alike give equal outputs whatever is seen: rounding makes no head temporal. */
  @Test
  void roundingDecidesNoClass() {
    SvgPlan call = PLANTED.svg(Layout.BHSD, true);
    Map<String, Tensor> inputs = cold(PLANTED, call);
    for (float value : new float[] {0, 1e-3f, .7f, 300}) {
      inputs.put(SparseOps.V, TestTensors.filled(value, 1, 4, 168, 8));
      assertThat(TestTensors.ints(run(call, inputs).get(SvgPlan.NEXT_HEAD_CLASSES)))
          .containsOnly(0);
    }
  }

  private static double error(Map<String, Tensor> plan) {
    Tensor o = PLANTED.attend(Layout.BHSD, 0, plan::get, ActionCode.PLAN_SPARSE);
    return TestTensors.relativeL1(o, PLANTED.tensor("dense"));
  }

  // ---- actions and state ------------------------------------------------------------------------

  /** The last classes and their plan, whatever the tokens are by then; no class is spatial. */
  @ParameterizedTest
  @EnumSource(
      value = ActionCode.class,
      names = {"DENSE", "REUSE_SPARSE"})
  void aStepThatDoesNotPlanKeepsItsClasses(ActionCode action) {
    SvgPlan call = PLANTED.svg(Layout.BHSD, true);
    Map<String, Tensor> inputs = cold(PLANTED, call);
    PlannerContract.assertCopiesItsState(call, inputs, action);
    try (OneOp op = OneOp.load(call)) {
      OneOp.Outputs planned = op.run(inputs);
      inputs.put(SparseOps.ACTION, TestTensors.action(action.code()));
      inputs.put(SvgPlan.HEAD_CLASSES, Tensor.ofInts(new long[] {1, 4}, 7, 1, 1, -2));
      PlannerContract.assertSame(call, op.run(inputs), planned);
    }
  }

  @Test
  void planDensePlansAsPlanSparse() {
    SvgPlan call = PLANTED.svg(Layout.BHSD, false);
    PlannerContract.assertPlanDensePlansAsPlanSparse(call, cold(PLANTED, call));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "svg_planted",
        "svg_sink_published",
        "svg_sink_corrected",
        "svg_text_first",
        "svg_text_last"
      })
  void aStepWithoutAPlanKeepsEverything(String name) {
    Golden golden = Golden.read(name);
    SvgPlan call = golden.svg(Layout.BHSD, false);
    OneOp.Outputs outputs = run(call, inputs(golden, call, 0, 0, ActionCode.DENSE.code()));
    PlannerContract.assertKeepsEverything(golden, outputs);
  }

  /** In whatever order the tokens are: also in temporal heads all pairs are there, once. */
  @ParameterizedTest
  @CsvSource({
    "svg_planted, false",
    "svg_planted, true",
    "svg_sink_corrected, false",
    "svg_sink_published, true",
    "svg_text_last, true"
  })
  void densityOneIsDense(String name, boolean budget) {
    Golden golden = Golden.read(name);
    SvgPlan chosen = golden.svg(Layout.BHSD, true);
    // With text the published formula first takes off the strips that text costs.
    SvgPlan call = withDensity(chosen, chosen.text() == TextPosition.NONE ? 1 : 1.5f, budget);
    PlannerContract.assertKeepsEverything(golden, run(call, cold(golden, call)));
  }

  private static SvgPlan withDensity(SvgPlan call, float density, boolean budget) {
    return new SvgPlan(
        call.site(),
        call.layout(),
        call.scale(),
        call.blockSize(),
        density,
        budget,
        call.sampledRows(),
        call.profileFrames(),
        call.sink(),
        call.text(),
        call.keyBias(),
        call.planState());
  }

  @Test
  void declaresItsState() {
    SvgPlan call = PLANTED.svg(Layout.BHSD, true);
    List<StateTensor> state = call.state(SiteShape.of(1, 4, 168, 8));
    assertThat(state)
        .containsExactly(
            new StateTensor(
                "head_classes",
                "head_classes",
                "next_head_classes",
                DataType.INT32,
                List.of(new DeclaredDim.Fixed(1), new DeclaredDim.Fixed(4))));
    assertThat(call.inputs()).contains("head_classes");
    assertThat(call.outputs()).contains("next_head_classes");
    SvgPlan stateless = PLANTED.svg(Layout.BHSD, false);
    assertThat(stateless.state(SiteShape.of(1, 4, 168, 8))).isEmpty();
    assertThat(stateless.outputs()).isEqualTo(Planner.PLAN);
  }

  // ---- widths -----------------------------------------------------------------------------------

  /** The plan of one spatial head of the given size. */
  private static OneOp.Outputs plan(SvgPlan call, int frames, int height, int width, int text) {
    return plan(call, frames, height, width, text, 0);
  }

  /** The same, of a head of a class. */
  private static OneOp.Outputs plan(
      SvgPlan call, int frames, int height, int width, int text, int headClass) {
    int tokens = frames * height * width + text;
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (String tensor : List.of(SparseOps.Q, SparseOps.K, SparseOps.V)) {
      inputs.put(tensor, TestTensors.filled(0, 1, 1, tokens, 1));
    }
    inputs.put(SparseOps.GEOMETRY, Tensor.ofInts(new long[] {3}, frames, height, width));
    inputs.put(SvgPlan.HEAD_CLASSES, Tensor.ofInts(new long[] {1, 1}, headClass));
    inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.REUSE_SPARSE.code()));
    return run(call, inputs);
  }

  private static SvgPlan published(float density, TextPosition text, FrameSink sink) {
    return new SvgPlan(
        0,
        Layout.BHSD,
        1,
        SvgPlan.PUBLISHED_BLOCK_SIZE,
        density,
        false,
        SvgPlan.PUBLISHED_SAMPLED_ROWS,
        SvgPlan.publishedProfileFrames(text),
        sink,
        text,
        false,
        true);
  }

  /** Kept key segments of the query segment, video only. */
  private static int kept(OneOp.Outputs plan, int row) {
    Tensor keep = plan.get(SparseOps.KEEP);
    int words = (int) keep.dims()[3];
    return Arrays.stream(TestTensors.ints(keep))
        .skip((long) row * words)
        .limit(words)
        .map(Integer::bitCount)
        .sum();
  }

  /**
   * Widths in tokens: Wan 720p 12,348, up to 97 blocks; HunyuanVideo 720p 15,655 and 480p 4,446 and
   * CogVideoX1.5 5,781, down to 122, 34 and 45; Cosmos 7,545, up to 59.
   */
  @ParameterizedTest
  @CsvSource({
    "NONE, .3, 21, 45, 80, 0, 97",
    "LAST, .25, 33, 45, 80, 256, 122",
    "LAST, .2, 33, 30, 45, 256, 34",
    "FIRST, .25, 11, 48, 85, 226, 45",
    "NONE, .25, 16, 44, 80, 0, 59"
  })
  void hasThePublishedWidth(
      TextPosition text, float density, int frames, int height, int width, int words, int blocks) {
    SvgPlan call = published(density, text, FrameSink.NONE);
    OneOp.Outputs plan = plan(call, frames, height, width, words);
    int first = text == TextPosition.FIRST ? 1 : 0;
    int ofText = text == TextPosition.NONE ? 0 : 1;
    assertThat(kept(plan, first)).isEqualTo(blocks + 1 + ofText);
    assertThat(kept(plan, first + 150)).isEqualTo(2 * blocks + 1 + ofText);
  }

  /**
   * The masks of Wan 720p have density .3015, and .340 with the sink; whole blocks a little more.
   */
  @Test
  void bandsOfWanHaveThePublishedDensity() {
    SvgPlan band = published(.3f, TextPosition.NONE, FrameSink.NONE);
    assertThat(TestTensors.density(plan(band, 21, 45, 80, 0)::get)).isCloseTo(.3029, within(5e-5));
    SvgPlan withSink = published(.3f, TextPosition.NONE, FrameSink.PUBLISHED);
    assertThat(TestTensors.density(plan(withSink, 21, 45, 80, 0)::get))
        .isCloseTo(.3427, within(5e-5));
  }

  /** A budget is met to a block on each side, and not exceeded, by band and sink together. */
  @ParameterizedTest
  @CsvSource({
    "NONE, .3",
    "NONE, .05",
    "PUBLISHED, .3",
    "CORRECTED, .3",
    "CORRECTED, .75",
    "PUBLISHED, .1"
  })
  void meetsABudget(FrameSink sink, float density) {
    SvgPlan call = withDensity(published(density, TextPosition.NONE, sink), density, true);
    double kept = TestTensors.density(plan(call, 21, 30, 52, 0)::get);
    assertThat(kept).isLessThanOrEqualTo(density).isGreaterThan(density - 2 * 128. / 32760);
  }

  /** What is said of a band before the model runs is what the plan keeps. */
  @ParameterizedTest
  @CsvSource({
    "NONE, .3, true",
    "PUBLISHED, .3, true",
    "CORRECTED, .3, true",
    "CORRECTED, .02, true",
    "PUBLISHED, .1, true",
    "NONE, .3, false",
    "PUBLISHED, .3, false",
    "CORRECTED, 2, false"
  })
  void foreseesTheBand(FrameSink sink, float density, boolean budget) {
    SvgPlan call = withDensity(published(density, TextPosition.NONE, sink), density, budget);
    for (int temporal = 0; temporal < 2; temporal++) {
      OneOp.Outputs plan = plan(call, 7, 20, 26, 0, temporal);
      SvgBand band = SvgBand.of(call, temporal == 1, 7, 520, 0);
      assertThat(band.density()).isCloseTo(TestTensors.density(plan::get), within(1e-9));
    }
  }

  /** A band of less than a block, a block that is longer than the video: blocks see themselves. */
  @Test
  void aBlockAlwaysKeepsItself() {
    OneOp.Outputs narrow = plan(published(1e-6f, TextPosition.LAST, FrameSink.NONE), 4, 10, 10, 60);
    assertThat(kept(narrow, 0)).isEqualTo(2);
    assertThat(kept(narrow, 3)).isEqualTo(2);
    OneOp.Outputs one = plan(published(.1f, TextPosition.NONE, FrameSink.NONE), 2, 3, 4, 0);
    assertThat(TestTensors.density(one::get)).isEqualTo(1);
  }

  /** Every token is at one position of each order. */
  @ParameterizedTest
  @EnumSource(FrameSink.class)
  void ordersArePermutations(FrameSink sink) {
    SvgPlan call = published(.3f, TextPosition.FIRST, sink);
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (String tensor : List.of(SparseOps.Q, SparseOps.K, SparseOps.V)) {
      inputs.put(tensor, TestTensors.filled(0, 1, 2, 300, 1));
    }
    inputs.put(SparseOps.GEOMETRY, Tensor.ofInts(new long[] {3}, 7, 5, 8));
    inputs.put(SvgPlan.HEAD_CLASSES, Tensor.ofInts(new long[] {1, 2}, 0, 1));
    inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.REUSE_SPARSE.code()));
    OneOp.Outputs plan = run(call, inputs);
    int[] natural = IntStream.range(0, 300).toArray();
    for (String tensor : List.of(SparseOps.QUERY_ORDER, SparseOps.KEY_ORDER)) {
      int[] order = TestTensors.ints(plan.get(tensor));
      assertThat(Arrays.copyOf(order, 300)).isEqualTo(natural);
      int[] temporal = Arrays.copyOfRange(order, 300, 600);
      assertThat(Arrays.stream(temporal).sorted())
          .containsExactly(IntStream.range(0, 300).boxed().toArray(Integer[]::new));
      assertThat(Arrays.copyOf(temporal, 20)).isEqualTo(Arrays.copyOf(natural, 20));
    }
    // Token of frame 3, patch 11 is at position 11 * 7 + 3 of the queries, behind the text.
    assertThat(TestTensors.ints(plan.get(SparseOps.QUERY_ORDER))[300 + 20 + 80])
        .isEqualTo(20 + 3 * 40 + 11);
  }

  /** Heads whose classes explain the rows equally well are spatial. */
  @Test
  void tiesAreSpatial() {
    SvgPlan call = PLANTED.svg(Layout.BHSD, true);
    Map<String, Tensor> inputs = cold(PLANTED, call);
    inputs.put(SparseOps.V, TestTensors.filled(0, 1, 4, 168, 8));
    assertThat(TestTensors.ints(run(call, inputs).get(SvgPlan.NEXT_HEAD_CLASSES)))
        .containsExactly(0, 0, 0, 0);
  }

  /** An element of the batch whose keys are all masked out has spatial heads. */
  @Test
  void masksMayHideEveryKey() {
    Golden golden = Golden.read("svg_text_last");
    SvgPlan call = golden.svg(Layout.BHSD, true);
    Map<String, Tensor> inputs = cold(golden, call);
    float[] bias = new float[2 * 104];
    Arrays.fill(bias, 0, 104, Float.NEGATIVE_INFINITY);
    inputs.put(SparseOps.KEY_BIAS, Tensor.ofFloats(new long[] {2, 1, 1, 104}, bias));
    assertThat(TestTensors.ints(run(call, inputs).get(SvgPlan.NEXT_HEAD_CLASSES)))
        .containsExactly(0, 0, 1, 0);
  }

  @Test
  void refusesSettingsThatMeanNothing() {
    SvgPlan call = published(.3f, TextPosition.NONE, FrameSink.NONE);
    assertThatThrownBy(() -> withDensity(call, 0, false))
        .hasMessage("density and profile frames are above 0");
    assertThatThrownBy(() -> withDensity(call, Float.NaN, false))
        .hasMessage("density and profile frames are above 0");
    assertThatThrownBy(() -> call.function(15))
        .hasMessage("SvgPlan needs opset 16 or later, not 15");
  }

  /** Calls that differ in what a body cannot decide at run time call different functions. */
  @Test
  void overloadsHaveNamesOfTheirOwn() {
    TreeSet<String> names = new TreeSet<>();
    for (Layout layout : Layout.values()) {
      for (TextPosition text : TextPosition.values()) {
        for (FrameSink sink : FrameSink.values()) {
          for (boolean bias : new boolean[] {false, true}) {
            for (boolean reuse : new boolean[] {false, true}) {
              names.add(
                  new SvgPlan(0, layout, 1, 128, .3f, bias, 64, 2, sink, text, bias, reuse)
                      .overload());
            }
          }
        }
      }
    }
    assertThat(names).hasSize(72).contains("bhsd", "bshd_sink_corrected_text_last_bias_reuse");
  }
}
