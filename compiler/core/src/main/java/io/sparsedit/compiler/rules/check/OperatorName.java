package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.syntax.Name;

/**
 * An operator as rules write it: {@code Add}, {@code ai.onnx.Add} or {@code com.microsoft.Gelu}.
 *
 * @param domain empty for ONNX's default domain
 */
record OperatorName(String domain, String type) {
  static OperatorName of(Name name) {
    String qualified = name.text();
    int dot = qualified.lastIndexOf('.');
    return new OperatorName(
        domain(dot < 0 ? "" : qualified.substring(0, dot)), qualified.substring(dot + 1));
  }

  /** The domain as models write it: ONNX's default one is empty. */
  static String domain(String written) {
    return written.equals("ai.onnx") ? "" : written;
  }

  boolean isStandard() {
    return domain.isEmpty();
  }
}
