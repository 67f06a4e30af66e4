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
      assertThat(text.get(2)).isEqualTo((byte) 0xC3);
      assertThat(text.get(9)).isZero();
      assertThat(Texts.text(asGiven(text))).isEqualTo("größe/0");
    }
    try (BytePointer empty = Texts.utf8("")) {
      assertThat(Texts.text(asGiven(empty))).isEmpty();
    }
  }

  /** As TensorRT gives a text: an address, and a zero at its end. */
  private static BytePointer asGiven(BytePointer text) {
    return new BytePointer(new Address(text.address()));
  }

  @Test
  void aNameThatWasNotReadableIsAnErrorWithTheRemedy() {
    assertThat(Texts.name("latents")).isEqualTo("latents");
    assertThatExceptionOfType(TensorRtException.class)
        .isThrownBy(() -> Texts.name("gr\uFFFD\uFFFDe"))
        .withMessageContaining("-Dfile.encoding=UTF-8");
  }
}
