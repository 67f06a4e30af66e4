package io.sparsedit.passes;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ShapeTable;
import java.nio.file.Path;
import java.util.List;

/**
 * Tells a model that breaks ONNX's rules from a fault of a pass.
 *
 * <p>Passes take for granted that a Transpose permutes its axes and that what a Concat joins fits
 * together; a model where that is not so would not run either. Checking it first would refuse
 * models for an oversight in a shape rule, or for a branch that is never taken, so it is asked only
 * once a pass has failed.
 */
final class InvalidNodes {
  private InvalidNodes() {}

  /** What is to be thrown when a pass has failed on a model: the model's fault, or the failure. */
  static RuntimeException blame(Path file, RuntimeException failure) {
    List<ShapeTable.Unknown> invalid = ShapeInference.infer(OnnxReader.read(file)).invalid();
    if (invalid.isEmpty()) {
      return failure;
    }
    return new SparsifyException(
        SparsifyException.Kind.FAILURE,
        file
            + ": node "
            + invalid.get(0)
            + (invalid.size() == 1 ? "" : "; " + (invalid.size() - 1) + " more like it")
            + ". The model is damaged, or was changed by hand: export it again.",
        failure);
  }
}
