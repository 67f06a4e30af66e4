package io.sparsedit.tensorrt;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class TensorRtExceptionTest {
  private final TensorRtException odd =
      TensorRtException.failed("Error Code 1: Cuda Runtime (invalid resource handle)");

  @Test
  void whatFailsOnAFullGpuIsWantOfMemoryWhateverTensorRtCallsIt() {
    TensorRtException explained = odd.explained("an execution context", 14_800_000_000L, 2_500_000);
    assertThat(explained)
        .hasMessage(
            "an execution context needs 14,800.0 MB of GPU memory or somewhat more; 2.5 MB are free: "
                + odd.getMessage())
        .hasCause(odd);
    assertThat(explained.reason()).isEqualTo(TensorRtException.Reason.MEMORY);
  }

  @Test
  void aFailureWithMemoryLeftStaysWhatItWas() {
    assertThat(odd.reason()).isEqualTo(TensorRtException.Reason.FAILED);
    assertThat(odd.explained("the engine", 1_000_000, 10_000_000_000L)).isSameAs(odd);
  }

  @Test
  void whatSaysItselfThatMemoryIsWantingSaysHowMuch() {
    TensorRtException own = TensorRtException.failed("Requested amount: OutOfMemory");
    assertThat(own.reason()).isEqualTo(TensorRtException.Reason.MEMORY);
    assertThat(own.explained("the engine", 5_000_000_000L, 9_000_000_000L))
        .hasMessage(
            "the engine needs 5,000.0 MB of GPU memory or somewhat more; 9,000.0 MB are free: "
                + own.getMessage());
  }
}
