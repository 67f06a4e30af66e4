package io.sparsedit.tensorrt;

import java.util.List;

/**
 * An input or output of an engine.
 *
 * @param name its name
 * @param input whether it is an input
 * @param type element type: f32 f16 bf16 i64 i32 i8 u8 bool, or TensorRT's code
 * @param onDevice whether it lies in the GPU's memory; shape tensors do not
 * @param dims dimensions, -1 where they vary
 */
public record IoTensor(String name, boolean input, String type, boolean onDevice, List<Long> dims) {
  /** Keeps its own copy of {@code dims}. */
  public IoTensor {
    dims = List.copyOf(dims);
  }

  /** The type of TensorRT's code for it. */
  public static String typeName(int code) {
    return switch (code) {
      case 0 -> "f32";
      case 1 -> "f16";
      case 2 -> "i8";
      case 3 -> "i32";
      case 4 -> "bool";
      case 5 -> "u8";
      case 7 -> "bf16";
      case 8 -> "i64";
      default -> "type " + code;
    };
  }
}
