package io.sparsedit.compiler.engine;

/**
 * The sizes that an engine of a model with dynamic dimensions is to take.
 *
 * @param min the smallest shapes
 * @param opt the shapes to tune for
 * @param max the largest shapes
 */
public record InputRange(InputShapes min, InputShapes opt, InputShapes max) {
  /** No shapes: what a model of fixed shapes needs. */
  public static final InputRange NONE =
      new InputRange(InputShapes.NONE, InputShapes.NONE, InputShapes.NONE);

  /** Whether nothing is given. */
  public boolean isEmpty() {
    return min.isEmpty() && opt.isEmpty() && max.isEmpty();
  }
}
