package io.sparsedit.passes.verify;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.passes.functions.ActionCode;
import io.sparsedit.passes.functions.BlockSparseAttention;
import io.sparsedit.passes.functions.Layout;
import io.sparsedit.passes.functions.Planner;
import io.sparsedit.passes.functions.Selection;
import io.sparsedit.passes.functions.SiteShape;
import io.sparsedit.passes.functions.SparseOps;
import io.sparsedit.passes.functions.StateTensor;
import io.sparsedit.passes.functions.Svg2Plan;
import io.sparsedit.passes.functions.TextPosition;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * On planted structure a good plan at low density stays close to dense attention, and what a
 * verification measures tells a good plan from a wrong one.
 */
final class PlantedStructureTest {
  private static final int HEADS = 2;
  private static final int TOKENS = 1024;
  private static final int HEAD_DIM = 32;
  private static final double SCALE = 1 / Math.sqrt(HEAD_DIM);
  private static final long OPSET = 17;

  private static final PlantedSite PLANTED =
      new PlantedSite(DataType.FLOAT, 1, HEADS, TOKENS, HEAD_DIM, SCALE);

  private static final Tensor GEOMETRY = Tensor.ofInts(new long[] {3}, 4, 16, 16);

  private static final PlanMetrics.Tokens ALL_VIDEO = PlanMetrics.Tokens.allVideo(PLANTED.query);

  private static SiteModel.Result result;
  private static double[] dense;

  @BeforeAll
  static void run() {
    Model model = siteGraph();
    SparseSite site = SparseSite.of(model).get(0);
    try (SiteModel siteModel = SiteModel.of(model, site, DataType.FLOAT, planner -> {});
        DenseReference reference = new DenseReference()) {
      result =
          siteModel.run(
              new SiteInputs(
                  PLANTED.query, PLANTED.key, PLANTED.value, GEOMETRY, Optional.empty()));
      dense = reference.attend(PLANTED.query, PLANTED.key, PLANTED.value, SCALE, Optional.empty());
    }
  }

  @Test
  void goodPlanIsCloseToDenseAtLowDensity() {
    PlanMetrics plan = PlanMetrics.of(result.plan(), PLANTED.query, PLANTED.key, SCALE, ALL_VIDEO);
    ErrorMetrics error = ErrorMetrics.of(result.output().doubles().orElseThrow(), dense);

    assertThat(plan.density()).isLessThan(0.3);
    assertThat(plan.recall()).isGreaterThan(0.9);
    assertThat(error.relativeL1()).isLessThan(0.1);
    assertThat(error.cosine()).isGreaterThan(0.99);
  }

  @Test
  void planExecutedOnItsOwnGivesTheSameOutput() {
    ErrorMetrics error =
        ErrorMetrics.of(execute(result.plan()), result.output().doubles().orElseThrow());

    assertThat(error.relativeL1()).isLessThan(1e-6);
  }

  @Test
  void shuffledLabelsShow() {
    PlanTensors p = result.plan();
    expectWrong(
        new PlanTensors(
            p.queryOrder(), shuffled(p.keyOrder()), p.queryOffsets(), p.keyOffsets(), p.keep()));
  }

  @Test
  void shuffledQueryLabelsShow() {
    PlanTensors p = result.plan();
    expectWrong(
        new PlanTensors(
            shuffled(p.queryOrder()), p.keyOrder(), p.queryOffsets(), p.keyOffsets(), p.keep()));
  }

  @Test
  void wrongOffsetsShow() {
    PlanTensors p = result.plan();
    expectWrong(
        new PlanTensors(
            p.queryOrder(),
            p.keyOrder(),
            evenlySpaced(p.queryOffsets()),
            evenlySpaced(p.keyOffsets()),
            p.keep()));
  }

  @Test
  void shuffledKeepBitsShow() {
    PlanTensors p = result.plan();
    expectWrong(
        new PlanTensors(
            p.queryOrder(), p.keyOrder(), p.queryOffsets(), p.keyOffsets(), rotated(p.keep())));
  }

  private static void expectWrong(PlanTensors plan) {
    PlanMetrics good = PlanMetrics.of(result.plan(), PLANTED.query, PLANTED.key, SCALE, ALL_VIDEO);
    PlanMetrics wrong = PlanMetrics.of(plan, PLANTED.query, PLANTED.key, SCALE, ALL_VIDEO);

    assertThat(ErrorMetrics.of(execute(plan), dense).relativeL1()).isGreaterThan(0.1);
    assertThat(wrong.recall()).isLessThan(good.recall() - 0.1);
  }

  /** The attention alone, on a given plan. */
  private static double[] execute(PlanTensors plan) {
    Graph graph = Graph.create("attention");
    BlockSparseAttention op = new BlockSparseAttention(0, Layout.BHSD, (float) SCALE, false, false);
    Map<String, Tensor> tensors = new HashMap<>();
    tensors.put(SparseOps.Q, PLANTED.query);
    tensors.put(SparseOps.K, PLANTED.key);
    tensors.put(SparseOps.V, PLANTED.value);
    tensors.put(SparseOps.QUERY_ORDER, plan.queryOrder());
    tensors.put(SparseOps.KEY_ORDER, plan.keyOrder());
    tensors.put(SparseOps.QUERY_OFFSETS, plan.queryOffsets());
    tensors.put(SparseOps.KEY_OFFSETS, plan.keyOffsets());
    tensors.put(SparseOps.KEEP, plan.keep());
    tensors.put(SparseOps.ACTION, Actions.all(1, ActionCode.PLAN_SPARSE.code()));
    Map<String, Value> inputs = new HashMap<>();
    tensors.forEach(
        (name, tensor) ->
            inputs.put(
                name, graph.addInput(name, ValueType.TensorType.of(tensor.type(), tensor.dims()))));
    Node end = endOf(graph);
    Node attention = op.insertBefore(end, "attention", inputs, Map.of());
    graph.remove(end);
    attention.output().setType(PLANTED_TYPE);
    graph.addOutput(attention.output());
    Model model = new Model(graph, SparseOps.MIN_IR_VERSION);
    model.opsets().put("", OPSET);
    model.opsets().put(SparseOps.DOMAIN, SparseOps.VERSION);
    model.functions().add(op.function(OPSET));
    return OrtRunner.run(model, tensors).values().iterator().next().doubles().orElseThrow();
  }

  private static final ValueType PLANTED_TYPE =
      ValueType.TensorType.of(DataType.FLOAT, 1, HEADS, TOKENS, HEAD_DIM);

  private static Model siteGraph() {
    Graph graph = Graph.create("site");
    Svg2Plan plan =
        new Svg2Plan(
            0,
            Layout.BHSD,
            (float) SCALE,
            32,
            64,
            new Selection.TopP(0.9f),
            0.02f,
            2,
            10,
            TextPosition.NONE,
            false);
    BlockSparseAttention sparse =
        new BlockSparseAttention(0, Layout.BHSD, (float) SCALE, false, false);
    Map<String, Value> values = new HashMap<>();
    for (String name : List.of(SparseOps.Q, SparseOps.K, SparseOps.V)) {
      values.put(name, graph.addInput(name, PLANTED_TYPE));
    }
    values.put(
        SparseOps.ACTION,
        graph.addInput(SparseOps.ACTION, ValueType.TensorType.of(DataType.INT32, 1)));
    values.put(SparseOps.GEOMETRY, graph.addConstant(SparseOps.GEOMETRY, GEOMETRY));
    for (StateTensor state : plan.state(SiteShape.of(1, HEADS, TOKENS, HEAD_DIM))) {
      values.put(state.input(), graph.addInput(state.graphInput(0), state.valueType()));
    }
    Node end = endOf(graph);
    Node planner = plan.insertBefore(end, "plan", pick(values, plan.inputs()), Map.of());
    for (int i = 0; i < Planner.PLAN.size(); i++) {
      values.put(Planner.PLAN.get(i), planner.output(i));
    }
    Node attention = sparse.insertBefore(end, "attention", pick(values, sparse.inputs()), Map.of());
    graph.remove(end);
    graph.addOutput(attention.output());
    Model model = new Model(graph, SparseOps.MIN_IR_VERSION);
    model.opsets().put("", OPSET);
    model.opsets().put(SparseOps.DOMAIN, SparseOps.VERSION);
    model.functions().add(plan.function(OPSET));
    model.functions().add(sparse.function(OPSET));
    return model;
  }

  /** A node to insert before. */
  private static Node endOf(Graph graph) {
    Node end = graph.addNode("", "Identity", "end", List.of(graph.inputs().get(0)));
    end.addOutput("end");
    return end;
  }

  private static Map<String, Value> pick(Map<String, Value> values, List<String> names) {
    Map<String, Value> picked = new HashMap<>();
    for (String name : names) {
      Value value = values.get(name);
      assertThat(value).as(name).isNotNull();
      if (value != null) {
        picked.put(name, value);
      }
    }
    return picked;
  }

  private static Tensor shuffled(Tensor order) {
    return changed(
        order,
        row -> {
          Random random = new Random(7);
          for (int i = row.length - 1; i > 0; i--) {
            int j = random.nextInt(i + 1);
            int swap = row[i];
            row[i] = row[j];
            row[j] = swap;
          }
          return row;
        });
  }

  private static Tensor evenlySpaced(Tensor offsets) {
    return changed(
        offsets,
        row -> {
          int segments = row.length - 1;
          for (int i = 0; i <= segments; i++) {
            row[i] = TOKENS * i / segments;
          }
          return row;
        });
  }

  /** Each word's bits rotated by half a word: every query segment keeps other clusters. */
  private static Tensor rotated(Tensor keep) {
    return changed(
        keep,
        row -> {
          for (int i = 0; i < row.length; i++) {
            row[i] = Integer.rotateLeft(row[i], 13);
          }
          return row;
        });
  }

  private static Tensor changed(Tensor tensor, UnaryOperator<int[]> change) {
    long[] dims = tensor.dims();
    int row = (int) dims[dims.length - 1];
    int[] all = new int[(int) tensor.elementCount()];
    tensor.bytes().orElseThrow().asIntBuffer().get(all);
    for (int start = 0; start < all.length; start += row) {
      int[] changed = change.apply(java.util.Arrays.copyOfRange(all, start, start + row));
      System.arraycopy(changed, 0, all, start, row);
    }
    return Tensor.ofInts(dims, all);
  }
}
