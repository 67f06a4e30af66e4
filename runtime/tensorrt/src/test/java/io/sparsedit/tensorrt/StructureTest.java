package io.sparsedit.tensorrt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import org.junit.jupiter.api.Test;

final class StructureTest {
  @Test
  void whatIsPutIsThere() {
    Structure structure = new Structure(64).putInt(0, -7).putLong(8, 1L << 40);
    structure.putText(16, 16, "größer").putText(32, 16, "");
    assertThat(structure.getInt(0)).isEqualTo(-7);
    assertThat(structure.getLong(8)).isEqualTo(1L << 40);
    assertThat(structure.text(16, 16)).isEqualTo("größer");
    assertThat(structure.text(32, 16)).isEmpty();
  }

  @Test
  void aTextEndsWithItsField() {
    Structure structure = new Structure(8).putText(0, 8, "abcdefg");
    assertThat(structure.text(0, 3)).isEqualTo("abc");
    assertThatExceptionOfType(TensorRtException.class)
        .isThrownBy(() -> structure.putText(0, 8, "abcdefgh"))
        .withMessage("too long: abcdefgh");
  }
}
