package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.pass.Pass;

/**
 * Declares the newest default operator set that TensorRT 10.6's parser is made for.
 *
 * <pre>
 *   before   opset_import { "": 23 }
 *   after    opset_import { "": 20 }
 * </pre>
 *
 * The passes before have replaced the operators that came after set 20, and GroupNormalization,
 * whose meaning changed in set 21. The others that have newer versions only gained element types
 * (21 to 25), or attributes whose defaults mean what held before.
 */
final class LowerOperatorSet implements Pass<EngineModel> {
  /** The newest operator set that TensorRT 10.0 to 10.8 take. */
  static final long NEWEST = 20;

  @Override
  public String name() {
    return "lower the operator set";
  }

  @Override
  public int run(EngineModel model) {
    Model onnx = model.model();
    if (onnx.opset() <= NEWEST) {
      return 0;
    }
    onnx.opsets().put("", NEWEST);
    return 1;
  }
}
