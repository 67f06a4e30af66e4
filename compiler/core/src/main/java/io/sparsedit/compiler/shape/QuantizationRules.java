package io.sparsedit.compiler.shape;

import static io.sparsedit.compiler.shape.ShapeRules.register;
import static io.sparsedit.compiler.shape.ShapeRules.registerMicrosoft;

import io.sparsedit.compiler.ir.DataType;
import java.util.Map;

/** Operators between floating-point and quantized tensors. */
final class QuantizationRules {
  private QuantizationRules() {}

  static void addTo(Map<String, ShapeRule> table) {
    register(table, QuantizationRules::quantize, "QuantizeLinear");
    registerMicrosoft(table, QuantizationRules::quantize, "QuantizeLinear");
    register(table, QuantizationRules::dequantize, "DequantizeLinear");
    registerMicrosoft(table, QuantizationRules::dequantize, "DequantizeLinear");
    register(table, QuantizationRules::dynamic, "DynamicQuantizeLinear");
  }

  private static void quantize(Call call) {
    DataType byDefault = call.has(2) ? call.type(2) : DataType.UINT8;
    call.type(0, call.typeAttribute("output_dtype", byDefault));
    call.shape(0, call.shape(0));
  }

  private static void dequantize(Call call) {
    call.type(0, call.typeAttribute("output_dtype", call.type(1)));
    call.shape(0, call.shape(0));
  }

  private static void dynamic(Call call) {
    call.type(0, DataType.UINT8);
    call.set(1, DataType.FLOAT, Shape.SCALAR);
    call.set(2, DataType.UINT8, Shape.SCALAR);
    call.shape(0, call.shape(0));
  }
}
