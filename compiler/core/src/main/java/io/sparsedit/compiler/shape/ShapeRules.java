package io.sparsedit.compiler.shape;

import java.util.HashMap;
import java.util.Map;

/**
 * The shape rules of all operators that are understood, by name; operators outside the default
 * domain as {@code domain.Name}. To add one, write it beside its family and name it in that
 * family's {@code addTo}.
 */
final class ShapeRules {
  static final String MICROSOFT = "com.microsoft.";

  private ShapeRules() {}

  static Map<String, ShapeRule> table() {
    Map<String, ShapeRule> table = new HashMap<>();
    AttentionRules.addTo(table);
    ConstantRules.addTo(table);
    ControlRules.addTo(table);
    ConvolutionRules.addTo(table);
    ElementwiseRules.addTo(table);
    IndexingRules.addTo(table);
    MatrixRules.addTo(table);
    MovementRules.addTo(table);
    NormalizationRules.addTo(table);
    QuantizationRules.addTo(table);
    ReductionRules.addTo(table);
    return table;
  }

  /** Registers one rule under several names. */
  static void register(Map<String, ShapeRule> table, ShapeRule rule, String... names) {
    for (String name : names) {
      if (table.put(name, rule) != null) {
        throw new IllegalArgumentException("two shape rules for " + name);
      }
    }
  }

  /** Registers one rule under several names of ONNX Runtime's own operators. */
  static void registerMicrosoft(Map<String, ShapeRule> table, ShapeRule rule, String... names) {
    for (String name : names) {
      register(table, rule, MICROSOFT + name);
    }
  }
}
