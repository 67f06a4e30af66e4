package io.sparsedit.tensorrt.presets;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;

final class AddressTest {
  @Test
  void itsMemoryHasAsManyBytesAsAreAskedFor() {
    try (BytePointer memory = new BytePointer((byte) 1, (byte) 2, (byte) 3, (byte) 4)) {
      ByteBuffer bytes = new Address(memory.address() + 1).bytes(3);
      assertThat(bytes.capacity()).isEqualTo(3);
      assertThat(bytes.remaining()).isEqualTo(3);
      bytes.put(2, (byte) 9);
      assertThat(memory.get(3)).isEqualTo((byte) 9);
      assertThat(bytes.get(0)).isEqualTo((byte) 2);
    }
  }

  @Test
  void aBufferStandsForItsStart() {
    ByteBuffer buffer = ByteBuffer.allocateDirect(8).put(0, (byte) 5).position(3);
    Pointer pointer = Address.of(buffer);
    assertThat(new Address(pointer.address()).bytes(1).get(0)).isEqualTo((byte) 5);
    assertThat(buffer.position()).isEqualTo(3);

    Pointer rest = Address.of(buffer.slice());
    assertThat(rest.address()).isEqualTo(pointer.address() + 3);
  }

  @Test
  void itOwnsNothing() {
    long before = Pointer.totalCount();
    Address address = new Address(8);
    address.close();
    assertThat(address.address()).isEqualTo(8);
    assertThat(Pointer.totalCount()).isEqualTo(before);
  }
}
