package io.sparsedit.tensorrt;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Memory that a function of the plugin library reads and fills, laid out as in its header. */
final class Structure {
  private final ByteBuffer memory;

  Structure(int bytes) {
    this.memory = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
  }

  /** Calls a function with it. */
  Structure fill(String function) {
    Native.fill("sparsedit_" + function, memory);
    return this;
  }

  int getInt(int offset) {
    return memory.getInt(offset);
  }

  long getLong(int offset) {
    return memory.getLong(offset);
  }

  Structure putInt(int offset, int value) {
    memory.putInt(offset, value);
    return this;
  }

  Structure putLong(int offset, long value) {
    memory.putLong(offset, value);
    return this;
  }

  /** Puts a text that ends with a zero into a field. */
  Structure putText(int offset, int room, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    if (bytes.length >= room) {
      throw TensorRtException.failed("too long: " + text);
    }
    memory.put(offset, bytes).put(offset + bytes.length, (byte) 0);
    return this;
  }

  /** The text in a field, to its zero or its end. */
  String text(int offset, int room) {
    byte[] bytes = new byte[room];
    memory.get(offset, bytes);
    int length = 0;
    while (length < room && bytes[length] != 0) {
      length++;
    }
    return new String(bytes, 0, length, StandardCharsets.UTF_8);
  }
}
