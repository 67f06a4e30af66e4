package io.sparsedit.compiler.ir;

/** Conversion between IEEE 754 binary16 and float; the JDK has it from version 20 on. */
public final class HalfFloat {
  private HalfFloat() {}

  /** The float with the value of the given binary16 bits. */
  public static float toFloat(short half) {
    int bits = Short.toUnsignedInt(half);
    int sign = (bits & 0x8000) << 16;
    int exponent = (bits >>> 10) & 0x1f;
    int fraction = bits & 0x3ff;
    if (exponent == 0x1f) {
      return Float.intBitsToFloat(sign | 0x7f800000 | fraction << 13);
    }
    if (exponent == 0) {
      float magnitude = fraction * 0x1p-24f;
      return sign == 0 ? magnitude : -magnitude;
    }
    return Float.intBitsToFloat(sign | (exponent + 112) << 23 | fraction << 13);
  }

  /** The binary16 bits nearest to the given float, ties to even. */
  public static short fromFloat(float value) {
    int bits = Float.floatToRawIntBits(value);
    int sign = (bits >>> 16) & 0x8000;
    int magnitude = bits & 0x7fffffff;
    if (magnitude >= 0x7f800000) {
      int fraction = magnitude > 0x7f800000 ? 0x200 | (magnitude >>> 13 & 0x3ff) : 0;
      return (short) (sign | 0x7c00 | fraction);
    }
    if (magnitude >= 0x477ff000) {
      return (short) (sign | 0x7c00);
    }
    if (magnitude < 0x38800000) {
      // Subnormal: units of 2^-24. The float product is exact, Math.rint rounds ties to even.
      return (short) (sign | (int) Math.rint(Math.abs((double) value) * 0x1p24));
    }
    int rounded = magnitude + 0xfff + (magnitude >>> 13 & 1);
    return (short) (sign | (rounded - 0x38000000) >>> 13);
  }
}
