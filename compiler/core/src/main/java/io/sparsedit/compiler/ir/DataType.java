package io.sparsedit.compiler.ir;

import java.util.Locale;

/** Element types of ONNX tensors, by their codes in {@code TensorProto.DataType}. */
public enum DataType {
  UNDEFINED(0, 0),
  FLOAT(1, 32),
  UINT8(2, 8),
  INT8(3, 8),
  UINT16(4, 16),
  INT16(5, 16),
  INT32(6, 32),
  INT64(7, 64),
  STRING(8, 0),
  BOOL(9, 8),
  FLOAT16(10, 16),
  DOUBLE(11, 64),
  UINT32(12, 32),
  UINT64(13, 64),
  COMPLEX64(14, 64),
  COMPLEX128(15, 128),
  BFLOAT16(16, 16),
  FLOAT8E4M3FN(17, 8),
  FLOAT8E4M3FNUZ(18, 8),
  FLOAT8E5M2(19, 8),
  FLOAT8E5M2FNUZ(20, 8),
  UINT4(21, 4),
  INT4(22, 4),
  FLOAT4E2M1(23, 4),
  FLOAT8E8M0(24, 8),
  UINT2(25, 2),
  INT2(26, 2);

  private final int code;
  private final int bits;

  DataType(int code, int bits) {
    this.code = code;
    this.bits = bits;
  }

  /** The ONNX code. */
  public int code() {
    return code;
  }

  /** Bits of one element; 0 where elements have no fixed size (strings, undefined). */
  public int bits() {
    return bits;
  }

  /** Bytes that {@code elements} elements take in raw data. */
  public long bytes(long elements) {
    return (Math.multiplyExact(elements, (long) bits) + 7) / 8;
  }

  /** Whether this is one of the floating-point types. */
  public boolean isFloating() {
    return switch (this) {
      case FLOAT,
          FLOAT16,
          BFLOAT16,
          DOUBLE,
          FLOAT8E4M3FN,
          FLOAT8E4M3FNUZ,
          FLOAT8E5M2,
          FLOAT8E5M2FNUZ,
          FLOAT4E2M1,
          FLOAT8E8M0 ->
          true;
      case UNDEFINED,
          UINT8,
          INT8,
          UINT16,
          INT16,
          INT32,
          INT64,
          STRING,
          BOOL,
          UINT32,
          UINT64,
          COMPLEX64,
          COMPLEX128,
          UINT4,
          INT4,
          UINT2,
          INT2 ->
          false;
    };
  }

  /** The type with this ONNX code, or {@link #UNDEFINED} for a code newer than this list. */
  public static DataType ofCode(int code) {
    DataType[] all = values();
    return code >= 0 && code < all.length ? all[code] : UNDEFINED;
  }

  /** Short lower-case name as rules and reports spell it: f32, f16, bf16, i64, bool… */
  public String shortName() {
    return switch (this) {
      case FLOAT -> "f32";
      case FLOAT16 -> "f16";
      case BFLOAT16 -> "bf16";
      case DOUBLE -> "f64";
      case INT64 -> "i64";
      case INT32 -> "i32";
      case INT16 -> "i16";
      case INT8 -> "i8";
      case UINT64 -> "u64";
      case UINT32 -> "u32";
      case UINT16 -> "u16";
      case UINT8 -> "u8";
      case FLOAT8E4M3FN -> "f8e4m3";
      case UNDEFINED,
          STRING,
          BOOL,
          COMPLEX64,
          COMPLEX128,
          FLOAT8E4M3FNUZ,
          FLOAT8E5M2,
          FLOAT8E5M2FNUZ,
          UINT4,
          INT4,
          FLOAT4E2M1,
          FLOAT8E8M0,
          UINT2,
          INT2 ->
          name().toLowerCase(Locale.ROOT);
    };
  }
}
