package io.sparsedit.compiler.shape;

import static io.sparsedit.compiler.shape.ShapeRules.register;
import static io.sparsedit.compiler.shape.ShapeRules.registerMicrosoft;

import io.sparsedit.compiler.ir.DataType;
import java.util.Map;

/** Normalizations. */
final class NormalizationRules {
  private NormalizationRules() {}

  static void addTo(Map<String, ShapeRule> table) {
    register(table, ElementwiseRules::same, "GroupNormalization", "InstanceNormalization");
    register(
        table,
        NormalizationRules::layer,
        "LayerNormalization",
        "RMSNormalization",
        "SimplifiedLayerNormalization");
    register(table, NormalizationRules::batch, "BatchNormalization");
    registerMicrosoft(table, ElementwiseRules::same, "GroupNorm", "SkipGroupNorm");
    registerMicrosoft(
        table,
        NormalizationRules::skip,
        "SkipLayerNormalization",
        "SkipSimplifiedLayerNormalization");
    registerMicrosoft(
        table, NormalizationRules::layer, "LayerNormalization", "SimplifiedLayerNormalization");
  }

  private static void layer(Call call) {
    // The output of the simplified form may have the scale's type.
    call.type(0, call.firstType(0, 1));
    Shape shape = call.shape(0);
    call.shape(0, shape);
    int axis = call.axis(call.longAttribute("axis", -1), shape.rank());
    Shape statistics = shape;
    for (int i = axis; i < shape.rank(); i++) {
      statistics = statistics.with(i, Dim.ONE);
    }
    for (int i = 1; i < call.outputCount(); i++) {
      call.set(i, call.typeAttribute("stash_type", DataType.FLOAT), statistics);
    }
  }

  private static void batch(Call call) {
    ElementwiseRules.same(call);
    for (int i = 1; i < call.outputCount(); i++) {
      call.set(i, call.type(3), call.shape(3));
    }
  }

  private static void skip(Call call) {
    ElementwiseRules.same(call);
    Shape shape = call.shape(0);
    Shape statistics = shape.with(shape.rank() - 1, Dim.ONE);
    call.set(1, DataType.FLOAT, statistics);
    call.set(2, DataType.FLOAT, statistics);
    call.set(3, call.type(0), shape);
  }
}
