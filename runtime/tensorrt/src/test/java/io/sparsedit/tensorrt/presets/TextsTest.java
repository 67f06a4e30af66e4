package io.sparsedit.tensorrt.presets;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.sparsedit.tensorrt.TensorRtException;
import org.bytedeco.javacpp.BytePointer;
import org.junit.jupiter.api.Test;

final class TextsTest {
  @Test
  void textsAreUtf8WhateverTheDefault() {
    try (BytePointer text = Texts.utf8("größe/0")) {
      assertThat(text.capacity()).isEqualTo(10);
      assertThat(text.get(2)).isEqualTo((byte) 0xC3);
      assertThat(text.get(9)).isZero();
      assertThat(Texts.text(text)).isEqualTo("größe/0");
    }
    try (BytePointer empty = Texts.utf8("")) {
      assertThat(Texts.text(empty)).isEmpty();
    }
  }

  @Test
  void aNameThatWasNotReadableIsAnErrorWithTheRemedy() {
    assertThat(Texts.name("latents")).isEqualTo("latents");
    assertThatExceptionOfType(TensorRtException.class)
        .isThrownBy(() -> Texts.name("gr\uFFFD\uFFFDe"))
        .withMessageContaining("-Dfile.encoding=UTF-8");
  }
}
