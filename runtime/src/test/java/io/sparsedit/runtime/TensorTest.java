package io.sparsedit.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class TensorTest {
  @ParameterizedTest
  @EnumSource(ElementType.class)
  void elementsOfEveryTypeAreReadAndWritten(ElementType type) {
    Tensor tensor = Tensor.allocate(type, 2, 3);
    assertThat(tensor.elementCount()).isEqualTo(6);
    assertThat(tensor.bytes().remaining()).isEqualTo(6 * type.bytes());
    assertThat(tensor.bytes().order()).isEqualTo(ByteOrder.LITTLE_ENDIAN);
    assertThat(tensor.toFloats()).containsOnly(0);
    tensor.set(5, 1);
    assertThat(tensor.get(5)).isEqualTo(1);
    assertThat(tensor.toFloats()).containsExactly(0, 0, 0, 0, 0, 1);
    assertThat(tensor.convert(ElementType.F64).get(5)).isEqualTo(1);
    assertThat(tensor).hasToString(type.shortName() + "[2, 3]");
  }

  @Test
  void aTensorStartsOnACacheLine() {
    for (int size : new int[] {0, 1, 64, 65}) {
      assertThat(Tensor.allocate(ElementType.U8, size).bytes().alignmentOffset(0, 64)).isZero();
    }
  }

  @Test
  void wrappingSharesTheElements() {
    ByteBuffer buffer = ByteBuffer.allocateDirect(20);
    Tensor tensor = Tensor.wrap(ElementType.I32, buffer.position(4).limit(12), 2);
    tensor.set(1, 7);
    assertThat(buffer.order(ByteOrder.LITTLE_ENDIAN).getInt(8)).isEqualTo(7);
    assertThat(buffer.position()).isEqualTo(4);
  }

  @Test
  void wrappingNeedsADirectBufferOfTheRightSize() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Tensor.wrap(ElementType.I32, ByteBuffer.allocateDirect(9), 2))
        .withMessage("i32[2] needs 8 bytes, the buffer has 9");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Tensor.wrap(ElementType.I32, ByteBuffer.allocate(8), 2));
    ByteBuffer readOnly = ByteBuffer.allocateDirect(8).asReadOnlyBuffer();
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Tensor.wrap(ElementType.I32, readOnly, 2));
  }

  @Test
  void factoriesFillTheTensor() {
    assertThat(Tensor.ofLongs(new long[] {2}, 1L << 62 | 1, -1).toLongs())
        .containsExactly(1L << 62 | 1, -1);
    assertThat(Tensor.ofInts(new long[] {1, 2}, 3, -4).toLongs()).containsExactly(3, -4);
    assertThat(Tensor.ofBooleans(new long[] {2}, true, false).toLongs()).containsExactly(1, 0);
    assertThat(Tensor.ofFloats(new long[0], 2.5f).get(0)).isEqualTo(2.5);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Tensor.ofFloats(new long[] {3}, 1, 2))
        .withMessage("f32[3] needs 3 values, got 2");
    assertThatIllegalStateException().isThrownBy(() -> Tensor.ofFloats(new long[0], 1).toLongs());
  }

  @Test
  void impossibleDimensionsAreRefused() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Tensor.allocate(ElementType.F32, 2, -1))
        .withMessage("negative dimension in f32[2, -1]");
    for (long[] dims :
        new long[][] {{1L << 29}, {1L << 40, 1L << 40}, {Long.MAX_VALUE}, {1 << 20, 1 << 9}}) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> Tensor.allocate(ElementType.F32, dims))
          .withMessageContaining("2 GiB");
    }
    assertThat(Tensor.allocate(ElementType.F32, 1L << 40, 0).elementCount()).isZero();
  }

  @Test
  void reshapingSharesAndCopyingDoesNot() {
    Tensor tensor = Tensor.ofFloats(new long[] {2, 2}, 1, 2, 3, 4);
    Tensor copy = tensor.copy();
    tensor.reshape(4).set(0, 9);
    assertThat(tensor.get(0)).isEqualTo(9);
    assertThat(copy.get(0)).isEqualTo(1);
    tensor.copyFrom(copy);
    assertThat(tensor.toFloats()).containsExactly(1, 2, 3, 4);
    assertThatIllegalArgumentException().isThrownBy(() -> tensor.reshape(3));
    assertThatIllegalArgumentException().isThrownBy(() -> tensor.copyFrom(copy.reshape(4)));
  }

  @Test
  void everyHalfSurvivesTheWayThroughFloat() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      float half = HalfFloat.fromBinary16((short) bits);
      if (!Float.isNaN(half)) {
        assertThat(HalfFloat.toBinary16(half)).isEqualTo((short) bits);
      }
      float brain = HalfFloat.fromBfloat16((short) bits);
      if (!Float.isNaN(brain)) {
        assertThat(HalfFloat.toBfloat16(brain)).isEqualTo((short) bits);
      }
    }
  }

  @Test
  void halvesAreRoundedToTheNearestAndTiesToEven() {
    for (int bits = 0; bits < 0x7bff; bits++) {
      float low = HalfFloat.fromBinary16((short) bits);
      float high = HalfFloat.fromBinary16((short) (bits + 1));
      float middle = (low + high) / 2;
      int even = (bits & 1) == 0 ? bits : bits + 1;
      assertThat(HalfFloat.toBinary16(middle)).isEqualTo((short) even);
      assertThat(HalfFloat.toBinary16(Math.nextUp(middle))).isEqualTo((short) (bits + 1));
      assertThat(HalfFloat.toBinary16(-Math.nextDown(middle))).isEqualTo((short) (bits | 0x8000));
    }
    assertThat(HalfFloat.toBinary16(65520)).isEqualTo((short) 0x7c00);
    assertThat(HalfFloat.fromBinary16(HalfFloat.toBinary16(Float.NaN))).isNaN();
    assertThat(HalfFloat.fromBfloat16(HalfFloat.toBfloat16(Float.NaN))).isNaN();
    assertThat(HalfFloat.fromBfloat16(HalfFloat.toBfloat16(Float.intBitsToFloat(0x7f800001))))
        .isNaN();
    assertThat(HalfFloat.toBfloat16(Float.intBitsToFloat(0x3f808000))).isEqualTo((short) 0x3f80);
    assertThat(HalfFloat.toBfloat16(Float.intBitsToFloat(0x3f818000))).isEqualTo((short) 0x3f82);
  }

  @Test
  void aTensorOnTheGpuHasAnAddressAndNoElements() {
    Tensor tensor = Tensor.onDevice(ElementType.F16, 0x7f0000000100L, 2, 3);

    assertThat(tensor.isOnDevice()).isTrue();
    assertThat(tensor.deviceAddress()).isEqualTo(0x7f0000000100L);
    assertThat(tensor.reshape(3, 2).deviceAddress()).isEqualTo(0x7f0000000100L);
    assertThat(tensor).hasToString("f16[2, 3] on the GPU");
    for (Runnable read :
        List.<Runnable>of(
            () -> tensor.get(0),
            () -> tensor.set(0, 1),
            tensor::bytes,
            tensor::toFloats,
            tensor::copy,
            () -> Tensor.allocate(ElementType.F16, 2, 3).copyFrom(tensor))) {
      assertThatIllegalStateException()
          .isThrownBy(read::run)
          .withMessageContaining("cannot be reached");
    }
    assertThatIllegalStateException()
        .isThrownBy(() -> Tensor.allocate(ElementType.F16, 2).deviceAddress())
        .withMessageContaining("is not on the GPU");
    for (long address : new long[] {0, 8, 0x7f0000000101L}) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> Tensor.onDevice(ElementType.F16, address, 2))
          .withMessageContaining("multiple of 256");
    }
  }
}
