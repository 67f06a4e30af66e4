package io.sparsedit.tensorrt.presets;

import java.nio.ByteBuffer;
import org.bytedeco.javacpp.Pointer;

/** A pointer at an address; owns nothing. */
final class Address extends Pointer {
  Address(long value) {
    this.address = value;
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
