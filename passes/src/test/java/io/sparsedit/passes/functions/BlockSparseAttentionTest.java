package io.sparsedit.passes.functions;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class BlockSparseAttentionTest {
  private static final Golden RAGGED = Golden.read("ragged");
  private static final Golden PLANTED = Golden.read("planted");
  private static final double TOLERANCE = 1e-5;

  private static BlockSparseAttention call(
      Golden golden, Layout layout, boolean bias, boolean compensate) {
    return new BlockSparseAttention(0, layout, (float) golden.setting("scale"), bias, compensate);
  }

  private static BlockSparseAttention plain(Golden golden) {
    return call(golden, Layout.BHSD, golden.has("key_bias"), false);
  }

  private static Map<String, Tensor> inputs(
      Golden golden, BlockSparseAttention call, ActionCode action) {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    int last = golden.steps() - 1;
    inputs.put(SparseOps.Q, TestTensors.inLayout(call.layout(), golden.atStep("q", last)));
    inputs.put(SparseOps.K, TestTensors.inLayout(call.layout(), golden.atStep("k", last)));
    inputs.put(SparseOps.V, TestTensors.inLayout(call.layout(), golden.tensor("v")));
    Planner.PLAN.forEach(tensor -> inputs.put(tensor, golden.tensor(tensor)));
    if (call.keyBias()) {
      inputs.put(SparseOps.KEY_BIAS, golden.tensor(SparseOps.KEY_BIAS));
    }
    inputs.put(SparseOps.ACTION, TestTensors.action(action.code()));
    return inputs;
  }

  private static Map<String, Tensor> sparse(Golden golden) {
    return inputs(golden, plain(golden), ActionCode.PLAN_SPARSE);
  }

  private static Tensor run(SparseOp call, Map<String, Tensor> inputs) {
    try (OneOp op = OneOp.load(call)) {
      return op.run(inputs).get(SparseOps.O);
    }
  }

  // ---- golden -----------------------------------------------------------------------------------

  /** Random ragged segments, empty ones, rows without a key, the sign bit, keys masked out. */
  @ParameterizedTest
  @CsvSource({
    "BHSD, false, false, o",
    "BSHD, false, false, o",
    "BHSD, true, false, o_bias",
    "BSHD, true, false, o_bias",
    "BHSD, false, true, o_compensate",
    "BSHD, true, true, o_bias_compensate"
  })
  void equalsGoldenOnARaggedPlan(Layout layout, boolean bias, boolean compensate, String expected) {
    BlockSparseAttention call = call(RAGGED, layout, bias, compensate);
    Tensor o = run(call, inputs(RAGGED, call, ActionCode.PLAN_SPARSE));
    Tensor reference = TestTensors.inLayout(layout, RAGGED.tensor(expected));
    assertThat(TestTensors.relativeL1(o, reference)).isLessThan(TOLERANCE);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "planted",
        "ten_steps",
        "batch",
        "text_first",
        "text_last",
        "many_clusters",
        "random"
      })
  void equalsGoldenOnAnSvg2Plan(String name) {
    Golden golden = Golden.read(name);
    Tensor o = run(plain(golden), sparse(golden));
    assertThat(TestTensors.relativeL1(o, golden.tensor("o"))).isLessThan(TOLERANCE);
  }

  @ParameterizedTest
  @ValueSource(longs = {16, 17, 18, 19, 20, 21, 22, 23, 24})
  void equalsGoldenInEveryOpset(long opset) {
    BlockSparseAttention call = call(RAGGED, Layout.BSHD, true, true);
    try (OneOp op = OneOp.load(call, opset, DataType.FLOAT)) {
      Tensor o = op.run(inputs(RAGGED, call, ActionCode.REUSE_SPARSE)).get(SparseOps.O);
      Tensor reference = TestTensors.inLayout(Layout.BSHD, RAGGED.tensor("o_bias_compensate"));
      assertThat(TestTensors.relativeL1(o, reference)).isLessThan(TOLERANCE);
    }
  }

  @ParameterizedTest
  @CsvSource({"PLAN_SPARSE, o_bias_compensate", "DENSE, dense_bias"})
  void takesFloat16(ActionCode action, String expected) {
    BlockSparseAttention call = call(RAGGED, Layout.BHSD, true, true);
    Map<String, Tensor> inputs = inputs(RAGGED, call, action);
    for (String tensor : new String[] {SparseOps.Q, SparseOps.K, SparseOps.V}) {
      inputs.computeIfPresent(tensor, (name, value) -> TestTensors.half(value));
    }
    try (OneOp op = OneOp.load(call, OneOp.OPSET, DataType.FLOAT16)) {
      Tensor o = op.run(inputs).get(SparseOps.O);
      assertThat(o.type()).isEqualTo(DataType.FLOAT16);
      // Inputs are exact in f16 and sums are f32: the only error is the output's rounding.
      assertThat(TestTensors.relativeL1(o, RAGGED.tensor(expected))).isLessThan(3e-4);
    }
  }

  // ---- the golden tests can fail ----------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(
      strings = {
        SparseOps.QUERY_ORDER,
        SparseOps.KEY_ORDER,
        SparseOps.QUERY_OFFSETS,
        SparseOps.KEY_OFFSETS,
        SparseOps.KEEP
      })
  void aShuffledPlanIsFarFromGolden(String tensor) {
    Map<String, Tensor> inputs = sparse(PLANTED);
    inputs.computeIfPresent(
        tensor, (name, value) -> name.endsWith("offsets") ? shuffledSizes(value) : shuffled(value));
    Tensor o = run(plain(PLANTED), inputs);
    assertThat(TestTensors.relativeL1(o, PLANTED.tensor("o"))).isGreaterThan(.1);
  }

  @Test
  void thePlantedPlanIsSparse() {
    assertThat(TestTensors.density(PLANTED::tensor)).isLessThan(.3);
  }

  private static Tensor shuffled(Tensor tensor) {
    int length = (int) tensor.dims()[2];
    int row = tensor.rank() == 4 ? (int) tensor.dims()[3] : 1;
    int[] in = TestTensors.ints(tensor);
    int[] out = in.clone();
    Random random = new Random(3);
    for (int head = 0; head < in.length / (length * row); head++) {
      int[] from = TestTensors.permutation(random, length);
      for (int i = 0; i < length; i++) {
        System.arraycopy(in, (head * length + from[i]) * row, out, (head * length + i) * row, row);
      }
    }
    return Tensor.ofInts(tensor.dims(), out);
  }

  private static Tensor shuffledSizes(Tensor offsets) {
    int length = (int) offsets.dims()[2];
    int[] in = TestTensors.ints(offsets);
    int[] out = in.clone();
    Random random = new Random(3);
    for (int start = 0; start < in.length; start += length) {
      int[] from = TestTensors.permutation(random, length - 1);
      for (int i = 1; i < length; i++) {
        int segment = start + from[i - 1];
        out[start + i] = out[start + i - 1] + in[segment + 1] - in[segment];
      }
    }
    return Tensor.ofInts(offsets.dims(), out);
  }

  // ---- properties -------------------------------------------------------------------------------

  @ParameterizedTest
  @EnumSource(
      value = ActionCode.class,
      names = {"DENSE", "PLAN_DENSE"})
  void isDenseWhateverThePlan(ActionCode action) {
    BlockSparseAttention call = plain(RAGGED);
    for (int code : new int[] {action.code(), action.cold()}) {
      Map<String, Tensor> inputs = inputs(RAGGED, call, action);
      inputs.put(SparseOps.ACTION, TestTensors.action(code));
      inputs.computeIfPresent(SparseOps.KEEP, (name, keep) -> shuffled(keep));
      Tensor o = run(call, inputs);
      assertThat(TestTensors.relativeL1(o, RAGGED.tensor("dense_bias"))).isLessThan(TOLERANCE);
    }
  }

  @ParameterizedTest
  @CsvSource({"true, dense_bias", "false, dense"})
  void isDenseWithEverythingKept(boolean bias, String expected) {
    for (boolean compensate : new boolean[] {false, true}) {
      BlockSparseAttention call = call(RAGGED, Layout.BHSD, bias, compensate);
      Map<String, Tensor> inputs = inputs(RAGGED, call, ActionCode.PLAN_SPARSE);
      inputs.computeIfPresent(SparseOps.KEEP, (name, keep) -> allKept(keep));
      inputs.computeIfPresent(SparseOps.QUERY_ORDER, (name, order) -> shuffled(order));
      inputs.computeIfPresent(SparseOps.KEY_ORDER, (name, order) -> shuffled(order));
      Tensor o = run(call, inputs);
      assertThat(TestTensors.relativeL1(o, RAGGED.tensor(expected))).isLessThan(TOLERANCE);
    }
  }

  private static Tensor allKept(Tensor keep) {
    int[] words = new int[TestTensors.ints(keep).length];
    Arrays.fill(words, -1);
    return Tensor.ofInts(keep.dims(), words);
  }

  /** More rows than a block has, dense and sparse, and not a multiple of it. */
  @Test
  void cutsManyRowsIntoBlocks() {
    int tokens = 2_100;
    BlockSparseAttention call = new BlockSparseAttention(0, Layout.BHSD, .5f, false, false);
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (String tensor : new String[] {SparseOps.Q, SparseOps.K, SparseOps.V}) {
      inputs.put(tensor, TestTensors.random(tensor.hashCode(), 1, 1, tokens, 4));
    }
    Tensor naturalOrder = Tensor.ofInts(new long[] {1, 1, 0});
    inputs.put(SparseOps.QUERY_ORDER, naturalOrder);
    inputs.put(SparseOps.KEY_ORDER, naturalOrder);
    inputs.put(SparseOps.QUERY_OFFSETS, Tensor.ofInts(new long[] {1, 1, 4}, 0, 600, 600, tokens));
    inputs.put(SparseOps.KEY_OFFSETS, Tensor.ofInts(new long[] {1, 1, 3}, 0, 1_000, tokens));
    inputs.put(SparseOps.KEEP, Tensor.ofInts(new long[] {1, 1, 3, 1}, 3, 0, 3));
    inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.DENSE.code()));
    Tensor dense = run(call, inputs);
    inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.PLAN_SPARSE.code()));
    assertThat(TestTensors.relativeL1(run(call, inputs), dense)).isLessThan(TOLERANCE);

    // The first query segment sees the first 1,000 keys only.
    inputs.put(SparseOps.KEEP, Tensor.ofInts(new long[] {1, 1, 3, 1}, 1, 0, 3));
    double[] o = run(call, inputs).doubles().orElseThrow();
    double[] expected = dense.doubles().orElseThrow();
    assertThat(Math.abs(o[0] - expected[0])).isGreaterThan(1e-3);
    assertThat(o[600 * 4]).isEqualTo(expected[600 * 4], within(1e-5));
  }

  @Test
  void anEmptyOrderIsTheNaturalOne() {
    Map<String, Tensor> inputs = sparse(PLANTED);
    int tokens = (int) PLANTED.tensor("v").dims()[2];
    int[] natural = new int[2 * tokens];
    Arrays.setAll(natural, i -> i % tokens);
    Tensor written = Tensor.ofInts(new long[] {1, 2, tokens}, natural);
    inputs.put(SparseOps.QUERY_ORDER, written);
    inputs.put(SparseOps.KEY_ORDER, written);
    Tensor expected = run(plain(PLANTED), inputs);
    Tensor empty = Tensor.ofInts(new long[] {1, 2, 0});
    inputs.put(SparseOps.QUERY_ORDER, empty);
    inputs.put(SparseOps.KEY_ORDER, empty);
    assertThat(run(plain(PLANTED), inputs).doubles()).hasValue(expected.doubles().orElseThrow());
  }

  /** Tokens in another order, with a plan that says so, give the same rows in that order. */
  @Test
  void doesNotDependOnTheOrderOfTokens() {
    Map<String, Tensor> inputs = sparse(PLANTED);
    int tokens = (int) PLANTED.tensor("v").dims()[2];
    int[] from = TestTensors.permutation(new Random(9), tokens);
    int[] to = new int[tokens];
    for (int i = 0; i < tokens; i++) {
      to[from[i]] = i;
    }
    for (String tensor : new String[] {SparseOps.Q, SparseOps.K, SparseOps.V}) {
      inputs.computeIfPresent(tensor, (name, value) -> permuteTokens(value, from));
    }
    for (String tensor : new String[] {SparseOps.QUERY_ORDER, SparseOps.KEY_ORDER}) {
      inputs.computeIfPresent(
          tensor,
          (name, order) ->
              Tensor.ofInts(
                  order.dims(),
                  Arrays.stream(TestTensors.ints(order)).map(token -> to[token]).toArray()));
    }
    Tensor o = run(plain(PLANTED), inputs);
    assertThat(TestTensors.relativeL1(o, permuteTokens(PLANTED.tensor("o"), from)))
        .isLessThan(TOLERANCE);
  }

  private static Tensor permuteTokens(Tensor bhsd, int[] from) {
    int size = (int) bhsd.dims()[3];
    float[] in = TestTensors.floats(bhsd);
    float[] out = new float[in.length];
    for (int head = 0; head < in.length / (from.length * size); head++) {
      for (int i = 0; i < from.length; i++) {
        System.arraycopy(
            in, (head * from.length + from[i]) * size, out, (head * from.length + i) * size, size);
      }
    }
    return Tensor.ofFloats(bhsd.dims(), out);
  }

  /** Segments whose keys and values are all equal lose nothing to their means. */
  @ParameterizedTest
  @ValueSource(ints = {0, 0x1, 0x5a})
  void compensationIsExactForSegmentsOfEqualKeys(int keepWord) {
    int tokens = 40;
    int segments = 8;
    int size = 4;
    Random random = new Random(5);
    int[] offsets = {0, 3, 3, 10, 17, 20, 28, 39, 40};
    float[] k = new float[tokens * size];
    float[] v = new float[tokens * size];
    for (int segment = 0; segment < segments; segment++) {
      for (int d = 0; d < size; d++) {
        float key = (float) random.nextGaussian();
        float value = (float) random.nextGaussian();
        for (int token = offsets[segment]; token < offsets[segment + 1]; token++) {
          k[token * size + d] = key;
          v[token * size + d] = value;
        }
      }
    }
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    inputs.put(SparseOps.Q, TestTensors.random(6, 1, 1, tokens, size));
    inputs.put(SparseOps.K, Tensor.ofFloats(new long[] {1, 1, tokens, size}, k));
    inputs.put(SparseOps.V, Tensor.ofFloats(new long[] {1, 1, tokens, size}, v));
    Tensor naturalOrder = Tensor.ofInts(new long[] {1, 1, 0});
    inputs.put(SparseOps.QUERY_ORDER, naturalOrder);
    inputs.put(SparseOps.KEY_ORDER, naturalOrder);
    inputs.put(SparseOps.QUERY_OFFSETS, Tensor.ofInts(new long[] {1, 1, 2}, 0, tokens));
    inputs.put(SparseOps.KEY_OFFSETS, Tensor.ofInts(new long[] {1, 1, 9}, offsets));
    inputs.put(SparseOps.KEEP, Tensor.ofInts(new long[] {1, 1, 1, 1}, keepWord));
    BlockSparseAttention call = new BlockSparseAttention(0, Layout.BHSD, 1f, false, true);
    inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.DENSE.code()));
    Tensor dense = run(call, inputs);
    inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.PLAN_SPARSE.code()));
    assertThat(TestTensors.relativeL1(run(call, inputs), dense)).isLessThan(TOLERANCE);
  }

  /**
   * The same through SVG2's plan of a joint site: video keys of a few kinds, text at an end, half
   * of it masked out, two elements in the batch, at densities down to one cluster a row.
   */
  @ParameterizedTest
  @CsvSource({"FIRST, .02", "FIRST, .4", "LAST, .02", "LAST, .4"})
  void compensationOfEqualKeysIsExactWithTextAndMask(TextPosition position, float density) {
    int batch = 2;
    int text = 11;
    int video = 64;
    int tokens = video + text;
    int kinds = 8;
    int size = 8;
    int start = position == TextPosition.FIRST ? text : 0;
    Random random = new Random(9);
    float[] k = TestTensors.floats(TestTensors.random(1, batch, 1, tokens, size));
    float[] v = TestTensors.floats(TestTensors.random(2, batch, 1, tokens, size));
    float[] bias = new float[batch * tokens];
    for (int b = 0; b < batch; b++) {
      float[] keys = TestTensors.floats(TestTensors.random(20 + b, kinds, size));
      float[] values = TestTensors.floats(TestTensors.random(30 + b, kinds, size));
      for (int token = 0; token < tokens; token++) {
        int at = b * tokens + token;
        boolean isVideo = token >= start && token < start + video;
        if (isVideo) {
          // Evenly spaced first centroids see every kind: k-means finds all of them.
          int kind = (token - start) * kinds / video;
          System.arraycopy(keys, kind * size, k, at * size, size);
          System.arraycopy(values, kind * size, v, at * size, size);
        } else if (random.nextBoolean()) {
          bias[at] = Float.NEGATIVE_INFINITY;
        }
      }
    }
    long[] dims = {batch, 1, tokens, size};
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    inputs.put(SparseOps.Q, TestTensors.random(3, dims));
    inputs.put(SparseOps.K, Tensor.ofFloats(dims, k));
    inputs.put(SparseOps.V, Tensor.ofFloats(dims, v));
    inputs.put(SparseOps.KEY_BIAS, Tensor.ofFloats(new long[] {batch, 1, 1, tokens}, bias));
    inputs.put(SparseOps.GEOMETRY, Tensor.ofInts(new long[] {3}, 4, 4, 4));
    inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.PLAN_SPARSE.cold()));
    Svg2Plan planner =
        new Svg2Plan(
            0,
            Layout.BHSD,
            1f,
            4,
            kinds,
            new Selection.Budget(density, Selection.Ranking.MASS),
            0,
            1,
            5,
            position,
            false);
    inputs.put(Svg2Plan.Q_CENTROIDS, TestTensors.filled(0, batch, 1, 4, size));
    inputs.put(Svg2Plan.K_CENTROIDS, TestTensors.filled(0, batch, 1, kinds, size));
    try (OneOp plan = OneOp.load(planner)) {
      Map<String, Tensor> planned = new LinkedHashMap<>(inputs);
      planned.keySet().retainAll(planner.inputs());
      OneOp.Outputs outputs = plan.run(planned);
      Planner.PLAN.forEach(tensor -> inputs.put(tensor, outputs.get(tensor)));
      assertThat(TestTensors.density(outputs::get)).isLessThan(.75);
    }
    inputs.keySet().removeAll(List.of(SparseOps.GEOMETRY, Svg2Plan.Q_CENTROIDS));
    inputs.remove(Svg2Plan.K_CENTROIDS);
    Tensor compensated = run(new BlockSparseAttention(0, Layout.BHSD, 1f, true, true), inputs);
    BlockSparseAttention plain = new BlockSparseAttention(0, Layout.BHSD, 1f, true, false);
    Tensor dropped = run(plain, inputs);
    inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.DENSE.code()));
    Tensor dense = run(plain, inputs);

    assertThat(TestTensors.relativeL1(compensated, dense)).isLessThan(TOLERANCE);
    assertThat(TestTensors.relativeL1(dropped, dense)).isGreaterThan(.05);
  }

  @ParameterizedTest
  @EnumSource(
      value = ActionCode.class,
      names = {"DENSE", "PLAN_SPARSE"})
  void aRowWithoutAKeyIsZero(ActionCode action) {
    BlockSparseAttention call = plain(RAGGED);
    Map<String, Tensor> inputs = inputs(RAGGED, call, action);
    inputs.computeIfPresent(
        SparseOps.KEY_BIAS,
        (name, bias) -> {
          // Everything is masked in the first element of the batch.
          float[] biases = TestTensors.floats(bias);
          Arrays.fill(biases, 0, biases.length / 2, Float.NEGATIVE_INFINITY);
          return Tensor.ofFloats(bias.dims(), biases);
        });
    double[] o = run(call, inputs).doubles().orElseThrow();
    assertThat(Arrays.stream(o).limit(o.length / 2)).containsOnly(0.0);
    assertThat(Arrays.stream(o).skip(o.length / 2).filter(x -> x != 0)).isNotEmpty();
    assertThat(Arrays.stream(o)).noneMatch(x -> Double.isNaN(x));
  }

  @Test
  void readsTheActionOfItsSite() {
    BlockSparseAttention call =
        new BlockSparseAttention(2, Layout.BHSD, (float) PLANTED.setting("scale"), false, false);
    Map<String, Tensor> inputs = sparse(PLANTED);
    inputs.put(SparseOps.ACTION, TestTensors.action(2, 2, 0, 2));
    assertThat(TestTensors.relativeL1(run(call, inputs), PLANTED.tensor("dense")))
        .isLessThan(TOLERANCE);
    inputs.put(SparseOps.ACTION, TestTensors.action(0, 0, 3, 0));
    assertThat(TestTensors.relativeL1(run(call, inputs), PLANTED.tensor("o")))
        .isLessThan(TOLERANCE);
  }

  @Test
  void refusesAnOldOpset() {
    assertThatThrownBy(() -> plain(PLANTED).function(15))
        .hasMessage("BlockSparseAttention needs opset 16 or later, not 15");
  }

  @Test
  void refusesACallWithoutAnInput() {
    assertThatThrownBy(
            () -> plain(PLANTED).insertBefore(OneOp.anyNode(), "attention", Map.of(), Map.of()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("BlockSparseAttention takes [q, k, v, query_order, ");
  }
}
