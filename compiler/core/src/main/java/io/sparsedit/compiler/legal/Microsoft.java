package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.Node;

/** Operators of ONNX Runtime's own domain. */
final class Microsoft {
  static final String DOMAIN = "com.microsoft";

  private Microsoft() {}

  /** Whether a node is ONNX Runtime's operator of that name. */
  static boolean is(Node node, String operator) {
    return node.domain().equals(DOMAIN) && node.opType().equals(operator);
  }
}
