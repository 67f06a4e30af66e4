package io.sparsedit.compiler.legal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.ModelCopy;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class AttendByPluginTest {
  private static final double TOLERANCE = 2e-6;
  private static final int BATCH = 2;
  private static final int HEADS = 3;
  private static final int TOKENS = 10;
  private static final int WIDTH = 32;
  private static final float SCALE = 0.25f;
  private static final DenseSites ALL = new DenseSites(1, false, Precision.KEEP, 1);

  private final Spelled spelled = new Spelled(18);
  private final Value query = spelled.floats("q", BATCH, HEADS, TOKENS, WIDTH);
  private final Value key = spelled.floats("k", BATCH, HEADS, TOKENS, WIDTH);
  private final Value values = spelled.floats("v", BATCH, HEADS, TOKENS, WIDTH);

  private Value number(double number) {
    return spelled.graph.addConstant("number", Tensor.scalar((float) number));
  }

  private Value turned(Value keys) {
    return spelled.node("Transpose", List.of(Optional.of(keys)), "perm", new long[] {0, 1, 3, 2});
  }

  private Value reshaped(Value value, long... dims) {
    return spelled.node("Reshape", value, spelled.graph.addConstant("dims", Tensor.vector(dims)));
  }

  /** As PyTorch writes it: the root of the scale on both sides. */
  private Value scores() {
    Value root = number(Math.sqrt(SCALE));
    return spelled.node(
        "MatMul", spelled.node("Mul", query, root), spelled.node("Mul", turned(key), root));
  }

  private Value attended(Value masked) {
    return spelled.node("MatMul", softmax(masked), values);
  }

  private Value softmax(Value masked) {
    return spelled.node("Softmax", List.of(Optional.of(masked)), "axis", -1);
  }

  /** The last three keys of the second batch element do not count. */
  private Value keyMask(long... dims) {
    int[] kept =
        IntStream.range(0, BATCH * TOKENS).map(i -> i < BATCH * TOKENS - 3 ? 1 : 0).toArray();
    return spelled.bools("mask", dims, kept);
  }

  private Value additive(Value mask) {
    return spelled.node("Where", mask, number(0), number(Double.NEGATIVE_INFINITY));
  }

  private static List<Node> plugins(Model model) {
    return model.graph().nodeList().stream()
        .filter(node -> node.opType().equals("BlockSparseAttention"))
        .toList();
  }

  private Model rewritten(DenseSites sites) {
    Model model = ModelCopy.of(spelled.model);
    Legalisation.apply(model, Optional.of(sites));
    assertThat(GraphVerifier.problems(model)).isEmpty();
    return model;
  }

  /** Checks that one attention calls the plugin and that this means the same numbers. */
  private Node check() {
    return check(TOLERANCE);
  }

  private Node check(double tolerance) {
    Model model = rewritten(ALL);
    assertThat(plugins(model)).hasSize(1);
    assertThat(model.graph().nodes()).noneMatch(node -> node.is("Softmax"));
    Map<String, Tensor> found = spelled.run(dense(model));
    spelled
        .run()
        .forEach(
            (name, wanted) -> {
              double[] a =
                  Optional.ofNullable(found.get(name)).orElseThrow().doubles().orElseThrow();
              double[] b = wanted.doubles().orElseThrow();
              assertThat(a).hasSameSizeAs(b);
              for (int i = 0; i < b.length; i++) {
                assertThat(a[i]).as("%s[%d]", name, i).isCloseTo(b[i], within(tolerance));
              }
            });
    return plugins(model).get(0);
  }

  /** A copy whose call of the plugin is written in standard operators. */
  private static Model dense(Model model) {
    Model standard = ModelCopy.of(model);
    assertThat(AttendDensely.in(standard)).isEqualTo(1);
    return standard;
  }

  private void stays() {
    assertThat(plugins(rewritten(ALL))).isEmpty();
  }

  /** Heads laid end to end and turned together are other keys, though all shapes fit. */
  @Test
  void keysThatAreTurnedAcrossHeadsAreTakenAsTheyAre() {
    Value row = reshaped(key, BATCH, HEADS * TOKENS, WIDTH);
    Value across =
        spelled.node("Transpose", List.of(Optional.of(row)), "perm", new long[] {0, 2, 1});
    Value keys = reshaped(across, BATCH, HEADS, WIDTH, TOKENS);
    Value bias = additive(keyMask(BATCH, 1, 1, TOKENS));
    spelled.output(attended(spelled.node("Add", spelled.node("MatMul", query, keys), bias)));
    check();
  }

  /** A mask of which each step reads the one before twice. */
  @Test
  @Timeout(value = 20, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void doublingsInAMaskEndAtOnce() {
    Value mask =
        spelled.node(
            "Expand",
            keyMask(BATCH, 1, 1, TOKENS),
            spelled.graph.addConstant(
                "dims", Tensor.vector(new long[] {BATCH, 1, TOKENS, TOKENS})));
    for (int i = 0; i < 40; i++) {
      mask = spelled.node("And", mask, mask);
    }
    spelled.output(attended(spelled.node("Add", scores(), additive(mask))));
    check();
  }

  @Test
  void aBiasOfKeys() {
    Value bias = additive(keyMask(BATCH, 1, 1, TOKENS));
    spelled.output(attended(spelled.node("Add", scores(), bias)));
    Node plugin = check();
    assertThat(plugin.requiredInput(0)).extracting(Value::name).isEqualTo("q");
    assertThat(plugin.requiredInput(1)).extracting(Value::name).isEqualTo("k");
    assertThat(plugin.requiredInput(2)).extracting(Value::name).isEqualTo("v");
    assertThat(plugin.floatAttribute("scale", 0)).isCloseTo(SCALE, within(1e-7f));
    assertThat(plugin.intAttribute("compensate", -1)).isZero();
    assertThat(plugin.stringAttribute("plugin_namespace", "")).isEqualTo("sparsedit");
    assertThat(plugin.requiredInput(3).constant().orElseThrow().dims())
        .containsExactly(BATCH, HEADS, 0);
    assertThat(plugin.requiredInput(9).constant().orElseThrow().doubles().orElseThrow())
        .containsExactly(0);
  }

  @Test
  void theSecondProductKeepsItsName() {
    Value bias = additive(keyMask(BATCH, 1, 1, TOKENS));
    Value result = attended(spelled.node("Add", scores(), bias));
    String name = result.producer().orElseThrow().name();
    spelled.output(result);
    assertThat(check().name()).isEqualTo(name);
  }

  @Test
  void aMaskThatWasExpandedToAllQueries() {
    Value all =
        spelled.node(
            "Expand",
            keyMask(BATCH, 1, 1, TOKENS),
            spelled.graph.addConstant("shape", Tensor.vector(BATCH, 1, TOKENS, TOKENS)));
    spelled.output(attended(spelled.node("Add", scores(), additive(all))));
    check();
  }

  /** As diffusers prepares masks of text: copied for each head, folded and unfolded. */
  @Test
  void aMaskThatWasTiledOverHeads() {
    Value bias = spelled.floats("bias", BATCH, 1, 1, TOKENS);
    Value copies = spelled.graph.addConstant("copies", Tensor.vector(1, HEADS, 1, 1));
    Value folded = reshaped(spelled.node("Tile", bias, copies), BATCH * HEADS, 1, TOKENS);
    Value all = reshaped(folded, BATCH, HEADS, 1, TOKENS);
    spelled.output(attended(spelled.node("Add", scores(), all)));
    check();
  }

  @Test
  void aMaskThatWasTiledOverTheBatchStays() {
    Value one = spelled.floats("bias", 1, 1, 1, TOKENS);
    Value copies = spelled.graph.addConstant("copies", Tensor.vector(BATCH, HEADS, 1, 1));
    Value all = spelled.node("Tile", one, copies);
    spelled.output(attended(spelled.node("Add", scores(), all)));
    stays();
  }

  @Test
  void aMaskForTheWholeBatchAddedFromTheLeft() {
    Value bias = spelled.floats("bias", TOKENS);
    spelled.output(attended(spelled.node("Add", bias, scores())));
    check();
  }

  @Test
  void scoresThatAreReplaced() {
    Value mask = keyMask(BATCH, 1, 1, TOKENS);
    Value filled = spelled.node("Where", mask, scores(), number(-1e9));
    spelled.output(attended(filled));
    check();
  }

  @Test
  void scoresThatAreReplacedWhereTheMaskIsSet() {
    Value dropped = spelled.node("Not", keyMask(BATCH, 1, 1, TOKENS));
    Value filled = spelled.node("Where", dropped, number(Double.NEGATIVE_INFINITY), scores());
    spelled.output(attended(filled));
    check();
  }

  @Test
  void aScaleBehindTheProductAndKeysTurnedAsDynamoDoes() {
    Value flat =
        spelled.node(
            "Reshape",
            key,
            spelled.graph.addConstant("flat", Tensor.vector(BATCH * HEADS, TOKENS, WIDTH)));
    Value turnedFlat =
        spelled.node("Transpose", List.of(Optional.of(flat)), "perm", new long[] {0, 2, 1});
    Value keys =
        spelled.node(
            "Reshape",
            turnedFlat,
            spelled.graph.addConstant("whole", Tensor.vector(BATCH, HEADS, WIDTH, TOKENS)));
    Value scores =
        spelled.node("Div", spelled.node("MatMul", query, keys), number(Math.sqrt(WIDTH)));
    Value bias = additive(keyMask(BATCH, 1, 1, TOKENS));
    spelled.output(attended(spelled.node("Add", scores, bias)));
    Node plugin = check();
    assertThat(plugin.requiredInput(1)).extracting(Value::name).isEqualTo("k");
    assertThat(plugin.floatAttribute("scale", 0))
        .isCloseTo((float) (1 / Math.sqrt(WIDTH)), within(1e-7f));
  }

  @Test
  void keysTurnedAsTorchScriptDoes() {
    Value tokensFirst = spelled.floats("kb", BATCH, TOKENS, HEADS, WIDTH);
    Value keys =
        spelled.node(
            "Transpose", List.of(Optional.of(tokensFirst)), "perm", new long[] {0, 2, 3, 1});
    Value root = number(Math.sqrt(SCALE));
    Value scores =
        spelled.node("MatMul", spelled.node("Mul", query, root), spelled.node("Mul", keys, root));
    Value bias = additive(keyMask(BATCH, 1, 1, TOKENS));
    spelled.output(attended(spelled.node("Add", scores, bias)));
    Node turned = check().requiredInput(1).producer().orElseThrow();
    assertThat(turned.requiredInput(0)).extracting(Value::name).isEqualTo("kb");
    assertThat(turned.intsAttribute("perm")).hasValue(List.of(0L, 2L, 1L, 3L));
  }

  @Test
  void keysThatWereNeverTurned() {
    Value keys = spelled.floats("kt", BATCH, HEADS, WIDTH, TOKENS);
    Value bias = additive(keyMask(BATCH, 1, 1, TOKENS));
    spelled.output(attended(spelled.node("Add", spelled.node("MatMul", query, keys), bias)));
    check();
  }

  /** A query of a batch element without any key attends to nothing, as the guard has it. */
  @Test
  void rowsWithoutKeysAndTheirGuard() {
    Value mask =
        spelled.bools(
            "mask",
            new long[] {BATCH, 1, 1, TOKENS},
            IntStream.range(0, BATCH * TOKENS).map(i -> i < 7 ? 1 : 0).toArray());
    Value weights = softmax(spelled.node("Add", scores(), additive(mask)));
    Value guarded = spelled.node("Where", spelled.node("IsNaN", weights), number(0), weights);
    spelled.output(spelled.node("MatMul", guarded, values));
    Model model = rewritten(ALL);
    assertThat(plugins(model)).hasSize(1);
    assertThat(model.graph().nodes()).noneMatch(node -> node.is("IsNaN"));
  }

  /** No key of the second batch element counts. */
  private Value halfMask() {
    return spelled.bools(
        "mask",
        new long[] {BATCH, 1, 1, TOKENS},
        IntStream.range(0, BATCH * TOKENS).map(i -> i < TOKENS - 2 ? 1 : 0).toArray());
  }

  /** Where all scores are replaced by one finite number, all keys weigh the same. */
  @ParameterizedTest
  @ValueSource(doubles = {-1e4, -1e9, -Float.MAX_VALUE})
  void rowsWithoutKeysWhoseScoresAreReplaced(double fill) {
    spelled.output(attended(spelled.node("Where", halfMask(), scores(), number(fill))));
    check();
  }

  /** So they do where a large one is added. */
  @ParameterizedTest
  @ValueSource(doubles = {-1e9, -1e20, -Float.MAX_VALUE})
  void rowsWithoutKeysUnderALargeBias(double fill) {
    Value bias = spelled.node("Where", halfMask(), number(0), number(fill));
    spelled.output(attended(spelled.node("Add", scores(), bias)));
    check();
  }

  /** A bias that is computed: (1 - mask) * -1e4, under which scores still differ. */
  @Test
  void rowsWithoutKeysUnderASmallerBias() {
    Value mask = spelled.node("Cast", List.of(Optional.of(halfMask())), "to", 1);
    Value bias = spelled.node("Mul", spelled.node("Sub", number(1), mask), number(-1e4));
    spelled.output(attended(spelled.node("Add", scores(), bias)));
    // What the addition rounds scores to.
    check(2e-3);
  }

  /** The kernel knows masked keys by -inf. */
  @Test
  void finiteBiasesBecomeInfinite() {
    Value bias = spelled.node("Where", keyMask(BATCH, 1, 1, TOKENS), number(0), number(-1e9));
    spelled.output(attended(spelled.node("Add", scores(), bias)));
    Model changed = rewritten(ALL);
    Value key = plugins(changed).get(0).requiredInput(8);
    changed.graph().addOutput(key);
    Tensor found = Optional.ofNullable(spelled.run(dense(changed)).get(key.name())).orElseThrow();
    assertThat(found.doubles().orElseThrow())
        .containsOnly(0, Double.NEGATIVE_INFINITY)
        .endsWith(Double.NEGATIVE_INFINITY);
    check();
  }

  /** Values of tokens before heads stay so, for the plugin reads them without a copy. */
  @Test
  void valuesOfTokensBeforeHeadsUnderAFiniteFill() {
    Value tokensFirst = spelled.floats("vb", BATCH, TOKENS, HEADS, WIDTH);
    Value heads =
        spelled.node(
            "Transpose", List.of(Optional.of(tokensFirst)), "perm", new long[] {0, 2, 1, 3});
    Value filled = spelled.node("Where", halfMask(), scores(), number(-1e9));
    spelled.output(spelled.node("MatMul", softmax(filled), heads));
    Node turned = check().requiredInput(2).producer().orElseThrow();
    assertThat(turned.intsAttribute("perm")).hasValue(List.of(0L, 2L, 1L, 3L));
    assertThat(turned.requiredInput(0).producer().orElseThrow().is("Where")).isTrue();
  }

  @Test
  void theOperatorOfSet23() {
    Spelled newer = new Spelled(23);
    Value q = newer.floats("q", BATCH, HEADS, TOKENS, WIDTH);
    Value k = newer.floats("k", BATCH, HEADS, TOKENS, WIDTH);
    Value v = newer.floats("v", BATCH, HEADS, TOKENS, WIDTH);
    int[] kept = IntStream.range(0, TOKENS).map(i -> i < 6 ? 1 : 0).toArray();
    Value mask = newer.bools("mask", new long[] {1, 1, 1, TOKENS}, kept);
    newer.output(newer.node("Attention", q, k, v, mask));
    Model model = ModelCopy.of(newer.model);
    Legalisation.apply(model, Optional.of(ALL));
    assertThat(plugins(model)).hasSize(1);
    assertThat(plugins(model).get(0).presentInputs().subList(0, 2))
        .extracting(Value::name)
        .containsExactly("q", "k");
  }

  @Test
  void eachHasASiteOfItsOwn() {
    Node other = spelled.graph.addNode("sparsedit", "Svg2Plan", "plan", List.of(query, key));
    other.setAttribute("site", 4);
    other.addOutput("plan");
    Value bias = additive(keyMask(BATCH, 1, 1, TOKENS));
    spelled.output(attended(spelled.node("Add", scores(), bias)));
    spelled.output(attended(spelled.node("Add", scores(), bias)));
    spelled.output(other.output());
    assertThat(plugins(rewritten(ALL)))
        .extracting(node -> node.intAttribute("site", -1))
        .containsExactly(5L, 6L);
  }

  @Test
  void aMaskOfPairsStays() {
    Value pairs = spelled.floats("bias", 1, 1, TOKENS, TOKENS);
    spelled.output(attended(spelled.node("Add", scores(), pairs)));
    stays();
  }

  @Test
  void aBiasOfQueriesStays() {
    Value queries = spelled.floats("bias", 1, 1, TOKENS, 1);
    spelled.output(attended(spelled.node("Add", scores(), queries)));
    stays();
  }

  @Test
  void aBiasOfHeadsStays() {
    Value heads = spelled.floats("bias", 1, HEADS, 1, TOKENS);
    spelled.output(attended(spelled.node("Add", scores(), heads)));
    stays();
  }

  @Test
  void attentionWithoutAMask() {
    spelled.output(attended(scores()));
    Node plugin = check();
    assertThat(plugin.inputs()).hasSize(9);
    assertThat(plugin.requiredInput(0)).extracting(Value::name).isEqualTo("q");
    assertThat(plugin.requiredInput(1)).extracting(Value::name).isEqualTo("k");
  }

  @Test
  void scoresThatOthersReadStay() {
    Value scores = scores();
    Value bias = additive(keyMask(BATCH, 1, 1, TOKENS));
    spelled.output(attended(spelled.node("Add", scores, bias)));
    spelled.output(spelled.node("ReduceMax", scores));
    stays();
  }

  @Test
  void aScaleBehindTheMaskStays() {
    Value bias = spelled.floats("bias", 1, 1, 1, TOKENS);
    Value masked = spelled.node("Add", scores(), bias);
    spelled.output(attended(spelled.node("Mul", masked, number(0.5))));
    stays();
  }

  /** Cross-attention. */
  @ParameterizedTest
  @ValueSource(ints = {1, 4, 25})
  void keysOfAnotherLength(int length) {
    Value text = spelled.floats("text", BATCH, HEADS, length, WIDTH);
    Value scores = spelled.node("MatMul", query, turned(text));
    Value weights = softmax(spelled.node("Mul", scores, number(SCALE)));
    Value values = spelled.floats("vt", BATCH, HEADS, length, WIDTH);
    spelled.output(spelled.node("MatMul", weights, values));
    Node plugin = check();
    assertThat(offsets(plugin, 5)).containsOnly(0, TOKENS);
    assertThat(offsets(plugin, 6)).containsOnly(0, length);
  }

  private static double[] offsets(Node plugin, int input) {
    return plugin.requiredInput(input).constant().orElseThrow().doubles().orElseThrow();
  }

  @Test
  void keysOfAnotherLengthUnderAMask() {
    Value text = spelled.floats("text", BATCH, HEADS, WIDTH, 4);
    Value mask = spelled.bools("kept", new long[] {BATCH, 1, 1, 4}, 1, 1, 0, 0, 0, 0, 0, 0);
    Value bias = spelled.node("Where", mask, number(0), number(-1e9));
    Value scores = spelled.node("Add", spelled.node("MatMul", query, text), bias);
    Value values = spelled.floats("vt", BATCH, HEADS, 4, WIDTH);
    spelled.output(spelled.node("MatMul", softmax(scores), values));
    check();
  }

  /** A product that broadcasts keys and values to the batch. */
  @Test
  void keysOfAnotherBatchStay() {
    Value text = spelled.floats("text", 1, HEADS, WIDTH, 4);
    Value values = spelled.floats("vt", 1, HEADS, 4, WIDTH);
    Value weights = softmax(spelled.node("MatMul", query, text));
    spelled.output(spelled.node("MatMul", weights, values));
    stays();
  }

  @Test
  void valuesOfAnotherWidthStay() {
    Value values = spelled.floats("wide", BATCH, HEADS, TOKENS, 2 * WIDTH);
    spelled.output(spelled.node("MatMul", softmax(scores()), values));
    stays();
  }

  @Test
  void sizesThatVaryStay() {
    Value any = spelled.dynamic("any", BATCH, HEADS, TOKENS, WIDTH);
    Value scores = spelled.node("MatMul", any, turned(any));
    Value bias = spelled.floats("bias", 1, 1, 1, TOKENS);
    spelled.output(spelled.node("MatMul", softmax(spelled.node("Add", scores, bias)), any));
    stays();
  }

  @Test
  void whatTheKernelIsNotFasterAtStays() {
    DenseSites fast = new DenseSites(2L * 1000 * 500 * 64, true, Precision.BF16, 1);
    assertThat(fast.take(1, 1000, 500, 128, DataType.FLOAT)).isTrue();
    assertThat(fast.take(2, 1000, 500, 64, DataType.FLOAT16)).isTrue();
    assertThat(fast.take(2, 999, 500, 64, DataType.FLOAT16)).isFalse();
    assertThat(fast.take(2, 1000, 499, 64, DataType.FLOAT16)).isFalse();
    assertThat(fast.take(2, 1000, 500, 96, DataType.FLOAT)).isFalse();
    DenseSites kept = new DenseSites(1, true, Precision.KEEP, 1);
    assertThat(kept.take(1, 1000, 500, 128, DataType.FLOAT)).isFalse();
    assertThat(ALL.take(1, 1, 1, 96, DataType.FLOAT)).isTrue();
    assertThat(ALL.take(1, 1, 1, 256, DataType.FLOAT)).isFalse();
    assertThat(ALL.take(1, 1, 1, 40, DataType.FLOAT)).isFalse();
    assertThat(ALL.take(1, 1, 1, 64, DataType.DOUBLE)).isFalse();
    assertThat(ALL.take(65_536, 1, 1, 64, DataType.FLOAT)).isFalse();
    assertThat(ALL.take(1, 1, (1 << 24) + 1, 64, DataType.FLOAT)).isFalse();
  }

  @Test
  void whoComputesItHangsOnTheGpu() {
    assertThat(DenseAttention.AUTO.sites(90, Precision.KEEP, 1)).isPresent();
    assertThat(DenseAttention.AUTO.sites(89, Precision.KEEP, 1)).isEmpty();
    assertThat(DenseAttention.TENSORRT.sites(90, Precision.KEEP, 1)).isEmpty();
    assertThat(DenseAttention.PLUGIN.sites(0, Precision.KEEP, 1)).isPresent();
  }
}
