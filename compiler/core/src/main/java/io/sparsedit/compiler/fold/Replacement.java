package io.sparsedit.compiler.fold;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;

/** Puts an initializer in the place of a computed value. */
final class Replacement {
  private Replacement() {}

  /** Replaces a value, which then is gone with its node unless the node has other outputs. */
  static void replace(Value value, Tensor tensor) {
    Graph graph = value.graph();
    Node node = value.producer().orElseThrow();
    Value initializer = graph.addConstant(value.name(), tensor);
    value.replaceAllUsesWith(initializer);
    if (node.outputs().stream().allMatch(Value::isUnused)) {
      String name = value.name();
      graph.remove(node);
      initializer.rename(name);
    }
  }
}
