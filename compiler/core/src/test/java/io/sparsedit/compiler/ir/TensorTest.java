package io.sparsedit.compiler.ir;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;

class TensorTest {
  @Test
  void everyHalfFloatSurvivesTheWayToFloatAndBack() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      float value = HalfFloat.toFloat((short) bits);
      short back = HalfFloat.fromFloat(value);
      if (Float.isNaN(value)) {
        assertThat(HalfFloat.toFloat(back)).isNaN();
      } else {
        assertThat(Short.toUnsignedInt(back)).isEqualTo(bits);
      }
    }
  }

  @Test
  void halvesAreRoundedToTheNearestWithTiesToEven() {
    assertThat(HalfFloat.fromFloat(1 + 0x1p-11f)).isEqualTo((short) 0x3c00);
    assertThat(HalfFloat.fromFloat(1 + 3 * 0x1p-11f)).isEqualTo((short) 0x3c02);
    assertThat(HalfFloat.fromFloat(Math.nextUp(1 + 0x1p-11f))).isEqualTo((short) 0x3c01);
    assertThat(HalfFloat.fromFloat(65519)).isEqualTo((short) 0x7bff);
    assertThat(HalfFloat.fromFloat(65520)).isEqualTo((short) 0x7c00);
    assertThat(HalfFloat.fromFloat(0x1p-25f)).isEqualTo((short) 0);
    assertThat(HalfFloat.fromFloat(-0x1p-24f)).isEqualTo((short) 0x8001);
  }

  @Test
  void theBytesMustFitTypeAndShape() {
    assertThatThrownBy(() -> Tensor.raw(DataType.FLOAT, new long[] {2}, ByteBuffer.allocate(7)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("f32[2] over 7 bytes");
    assertThat(Tensor.raw(DataType.INT4, new long[] {3}, ByteBuffer.allocate(2)).elementCount())
        .isEqualTo(3);
  }

  @Test
  void aZeroDimensionMakesAnyShapeEmpty() {
    assertThat(Tensor.elementCount(new long[] {Long.MAX_VALUE, 0, Long.MAX_VALUE})).isZero();
    assertThat(Tensor.elementCount(new long[0])).isEqualTo(1);
  }

  @Test
  void theElementsOfASharedBufferAreNotMovedByReading() {
    Tensor tensor = Tensor.vector(3, 1, 2);
    ByteBuffer bytes = tensor.bytes().orElseThrow();
    assertThat(bytes.getLong()).isEqualTo(3);
    assertThat(tensor.bytes().orElseThrow().getLong()).isEqualTo(3);
    assertThat(tensor.longs().orElseThrow()).containsExactly(3, 1, 2);
    assertThat(tensor.doubles().orElseThrow()).containsExactly(3, 1, 2);
  }
}
