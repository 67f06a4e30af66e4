package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Writes scatters that combine what is there with what is put there as plain ones.
 *
 * <pre>
 *   before   y = ScatterND(x, i, u) { reduction = "add" }
 *   after    y = ScatterND(x, i, Add(GatherND(x, i), u))
 * </pre>
 *
 * For constant indices. Where an index comes more than once, each round takes every index once, up
 * to {@value #MOST_ROUNDS} rounds; beyond that, and with indices that are computed, the node is
 * left. ScatterND alone: {@code reduction = "none"} is no reduction.
 */
final class UnrollScatterReduction implements Pass<EngineModel> {
  private static final int MOST_ROUNDS = 16;
  private static final Map<String, String> OPERATORS =
      Map.of("add", "Add", "mul", "Mul", "max", "Max", "min", "Min");

  @Override
  public String name() {
    return "unroll scatters with a reduction";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      String operator = OPERATORS.get(node.stringAttribute("reduction", "none"));
      if (node.is("ScatterND")
          && operator != null
          && rewrite(node, operator, new Emit(node, model.model().opset()), model.facts())) {
        changed++;
      }
    }
    return changed;
  }

  private static boolean rewrite(Node node, String operator, Emit emit, ShapeTable facts) {
    Optional<Tensor> indices = facts.constant(node.requiredInput(1));
    Optional<long[]> elements = indices.flatMap(Tensor::longs);
    if (elements.isEmpty() || indices.get().rank() < 1) {
      return false;
    }
    long[] dims = indices.get().dims();
    int width = Math.toIntExact(dims[dims.length - 1]);
    int count = width == 0 ? 0 : elements.get().length / width;
    List<List<Integer>> rounds = rounds(elements.get(), width, count);
    if (rounds.isEmpty() || rounds.size() > MOST_ROUNDS) {
      return false;
    }
    Value data = node.requiredInput(0);
    Value updates = node.requiredInput(2);
    if (rounds.size() == 1) {
      emit.replace(List.of(scatter(emit, operator, data, node.requiredInput(1), updates)));
      return true;
    }
    int rank = facts.shape(updates).map(List::size).orElse(0);
    if (dims.length != 2 || rank == 0) {
      return false; // Rows of updates can be picked where they lie along one axis.
    }
    Value result = data;
    for (List<Integer> round : rounds) {
      long[] picked = new long[round.size() * width];
      long[] rows = new long[round.size()];
      for (int i = 0; i < rows.length; i++) {
        rows[i] = round.get(i);
        System.arraycopy(elements.get(), round.get(i) * width, picked, i * width, width);
      }
      Value index =
          emit.constant("indices", Tensor.ofLongs(new long[] {rows.length, width}, picked));
      Value some = emit.node("Gather", updates, emit.ints("rows", rows));
      result = scatter(emit, operator, result, index, some);
    }
    emit.replace(List.of(result));
    return true;
  }

  /** Places of updates, each index at most once in a round. */
  private static List<List<Integer>> rounds(long[] elements, int width, int count) {
    List<List<Integer>> rounds = new ArrayList<>();
    Map<List<Long>, Integer> seen = new HashMap<>();
    for (int i = 0; i < count; i++) {
      List<Long> index = new ArrayList<>();
      for (int j = 0; j < width; j++) {
        index.add(elements[i * width + j]);
      }
      int round = seen.merge(index, 1, Integer::sum) - 1;
      if (round == rounds.size()) {
        rounds.add(new ArrayList<>());
      }
      rounds.get(round).add(i);
    }
    return rounds;
  }

  private static Value scatter(
      Emit emit, String operator, Value data, Value indices, Value updates) {
    Value combined = emit.node(operator, emit.node("GatherND", data, indices), updates);
    return emit.node("ScatterND", data, indices, combined);
  }
}
