package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeTable;
import io.sparsedit.passes.functions.BlockSparseAttention;
import io.sparsedit.passes.functions.SparseOps;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Rounds float32 activations to float16 after every operator.
 *
 * <pre>
 *   before   y = MatMul(x, w)
 *   after    y = Cast(Cast(MatMul(x, w), float16), float32)
 * </pre>
 *
 * Activations are what is computed from a floating-point input of two or more dimensions: latents
 * and text, but not the noise level, whose embedding exporters keep in float32 as well. Plans and
 * state stay float32, as the operators want them.
 */
final class RoundActivations implements Pass<Compilation> {
  /** What the names of state inputs begin with. */
  private static final String STATE = "state.";

  @Override
  public String name() {
    return "round activations to float16";
  }

  @Override
  public int run(Compilation compilation) {
    Graph graph = compilation.model().graph();
    ShapeTable facts = compilation.facts();
    Set<Value> activations = new HashSet<>();
    for (Value input : graph.inputs()) {
      Optional<List<Dim>> shape = facts.shape(input);
      if (facts.elementType(input).isFloating()
          && !input.name().startsWith(STATE)
          && shape.isPresent()
          && shape.get().size() > 1) {
        activations.add(input);
      }
    }
    int rounded = 0;
    List<Node> nodes = graph.nodeList();
    for (int i = 0; i < nodes.size(); i++) {
      Node node = nodes.get(i);
      boolean plans =
          node.domain().equals(SparseOps.DOMAIN)
              && !node.opType().equals(BlockSparseAttention.OP_TYPE);
      if (plans || node.presentInputs().stream().noneMatch(activations::contains)) {
        continue;
      }
      Optional<Node> next = i + 1 < nodes.size() ? Optional.of(nodes.get(i + 1)) : Optional.empty();
      for (Value output : node.outputs()) {
        activations.add(output);
        if (facts.elementType(output) == DataType.FLOAT) {
          activations.add(round(graph, output, next));
          rounded++;
        }
      }
    }
    return rounded;
  }

  private static Value round(Graph graph, Value value, Optional<Node> next) {
    // The readers move to what is read from the value only after that: two nodes, then their input.
    Node half = cast(graph, value, next, DataType.FLOAT16);
    Node back = cast(graph, half.output(), next, DataType.FLOAT);
    value.type().ifPresent(back.output()::setType);
    value.replaceAllUsesWith(back.output());
    half.setInput(0, value);
    return back.output();
  }

  private static Node cast(Graph graph, Value value, Optional<Node> next, DataType type) {
    Node cast =
        next.isPresent()
            ? graph.insertBefore(next.get(), "", "Cast", "", List.of(value))
            : graph.addNode("", "Cast", "", List.of(value));
    cast.setAttribute("to", type.code());
    cast.addOutput(graph.freshName("rounded"));
    return cast;
  }
}
