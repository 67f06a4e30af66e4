package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;

/** What an engine's floats are. */
public enum Precision {
  /** What the graph says. */
  KEEP(DataType.FLOAT),
  /** bfloat16 in the place of float32, but for what needs more digits. */
  BF16(DataType.BFLOAT16),
  /** float16 in the place of float32, but for what needs more digits. */
  FP16(DataType.FLOAT16);

  private final DataType type;

  Precision(DataType type) {
    this.type = type;
  }

  /** The type that takes the place of float32. */
  DataType type() {
    return type;
  }
}
