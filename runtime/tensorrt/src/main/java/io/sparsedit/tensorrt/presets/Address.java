package io.sparsedit.tensorrt.presets;

import java.nio.ByteBuffer;
import org.bytedeco.javacpp.Pointer;

/** A pointer at an address; owns nothing. */
final class Address extends Pointer {
  Address(long value) {
    this.address = value;
  }

  /** JavaCPP counts in the size of a {@code void*} where a class does not say this. */
  @Override
  public int sizeof() {
    return 1;
  }

  /** The start of a direct buffer, wherever its position is. */
  static Pointer of(ByteBuffer direct) {
    return new Pointer(direct.duplicate().clear());
  }

  /** The memory at the address. */
  ByteBuffer bytes(int count) {
    capacity(count);
    return asByteBuffer();
  }
}
