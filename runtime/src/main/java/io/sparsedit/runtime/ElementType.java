package io.sparsedit.runtime;

import java.util.Arrays;
import java.util.Optional;

/** Element types of the tensors that go in and out of a model. */
public enum ElementType {
  /** IEEE 754 binary32. */
  F32("f32", 4),
  /** IEEE 754 binary16. */
  F16("f16", 2),
  /** The upper half of a binary32. */
  BF16("bf16", 2),
  /** IEEE 754 binary64. */
  F64("f64", 8),
  /** Signed 64 bits. */
  I64("i64", 8),
  /** Signed 32 bits. */
  I32("i32", 4),
  /** Signed 16 bits. */
  I16("i16", 2),
  /** Signed 8 bits. */
  I8("i8", 1),
  /** Unsigned 8 bits. */
  U8("u8", 1),
  /** One byte, 0 or 1. */
  BOOL("bool", 1);

  private final String shortName;
  private final int bytes;

  ElementType(String shortName, int bytes) {
    this.shortName = shortName;
    this.bytes = bytes;
  }

  /** The name that {@code bundle.json} uses: f32, f16, bf16, i64, bool… */
  public String shortName() {
    return shortName;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }

  /** Whether elements are floating-point numbers. */
  public boolean isFloating() {
    return switch (this) {
      case F32, F16, BF16, F64 -> true;
      case I64, I32, I16, I8, U8, BOOL -> false;
    };
  }

  /** The type of this short name, if the runtime knows it. */
  public static Optional<ElementType> ofShortName(String name) {
    return Arrays.stream(values()).filter(type -> type.shortName.equals(name)).findFirst();
  }

  @Override
  public String toString() {
    return shortName;
  }
}
