package io.sparsedit.compiler.shape;

import io.sparsedit.compiler.ir.Model;
import java.util.HashMap;
import java.util.Map;

/**
 * Finds element types, shapes and the elements of small tensors of every value of a model, without
 * running it.
 *
 * <p>The rules of the operators are the first source. What the model declares of its values is the
 * second: it fills what no rule tells, and gives way where the two contradict each other. Elements
 * are followed through the arithmetic that exporters use to compute shapes and scales (Shape,
 * Slice, Gather, Concat, Cast, Div, Sqrt, Where and so on), symbolic where a size is.
 */
public final class ShapeInference {
  private ShapeInference() {}

  /** The facts with the sizes that the model leaves open as symbols. */
  public static ShapeTable infer(Model model) {
    return infer(model, Map.of(), ConstantSource.NONE);
  }

  /**
   * The facts with some of the open sizes given.
   *
   * @param sizes numbers for symbols that the model's inputs declare as dimensions
   */
  public static ShapeTable infer(Model model, Map<String, Long> sizes) {
    return infer(model, sizes, ConstantSource.NONE);
  }

  /**
   * The facts with some of the open sizes given and external tensors read where they are small.
   *
   * @param sizes numbers for symbols that the model's inputs declare as dimensions
   * @param source reads small external tensors
   */
  public static ShapeTable infer(Model model, Map<String, Long> sizes, ConstantSource source) {
    Map<String, Dim> bindings = new HashMap<>();
    sizes.forEach((name, size) -> bindings.put(name, Dim.of(size)));
    return new Engine(model, bindings, source).run();
  }
}
