package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A tensor that a site carries from step to step.
 *
 * @param name its name within the site
 * @param input the planner's input that takes it
 * @param output the planner's output that holds it for the next step
 * @param type element type
 * @param dims dimensions
 */
public record StateTensor(
    String name, String input, String output, DataType type, List<DeclaredDim> dims) {
  public StateTensor {
    dims = List.copyOf(dims);
  }

  /** A state tensor {@code [B,H,...]}. */
  static StateTensor of(
      String name,
      String input,
      String output,
      DataType type,
      SiteShape shape,
      List<DeclaredDim> tail) {
    List<DeclaredDim> dims = new ArrayList<>(List.of(shape.batch(), shape.heads()));
    dims.addAll(tail);
    return new StateTensor(name, input, output, type, dims);
  }

  /** The type of the graph input and output that carry it. */
  public ValueType valueType() {
    return new ValueType.TensorType(type, Optional.of(dims));
  }

  /** Name of the graph input that carries it into a step. */
  public String graphInput(int site) {
    return "state.s" + site + "." + name;
  }

  /** Name of the graph output that carries it to the next step. */
  public String graphOutput(int site) {
    return "next.s" + site + "." + name;
  }
}
