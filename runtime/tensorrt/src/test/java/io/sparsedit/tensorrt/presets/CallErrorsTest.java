package io.sparsedit.tensorrt.presets;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class CallErrorsTest {
  private final CallErrors errors = new CallErrors();
  private final ExecutorService other = Executors.newSingleThreadExecutor();

  @AfterEach
  void end() {
    other.shutdownNow();
  }

  private void there(Runnable call) throws ExecutionException, InterruptedException {
    other.submit(call).get();
  }

  @Test
  void whatFailsInOneCallIsNotTheFailureOfAnother() throws Exception {
    errors.begin();
    errors.add("here");
    there(
        () -> {
          errors.begin();
          assertThat(errors.take()).isEmpty();
          errors.add("there");
        });
    assertThat(errors.take()).isEqualTo("here");
    assertThat(errors.take()).isEmpty();
    there(() -> assertThat(errors.take()).isEqualTo("there"));
  }

  @Test
  void aThreadOfTensorRtsIsHeardByTheCaller() throws Exception {
    errors.begin();
    there(() -> errors.add("a kernel"));
    errors.add("the builder");
    assertThat(errors.take()).isEqualTo("a kernel; the builder");
  }

  @Test
  void whatCameBeforeTheCallDoesNotCount() throws Exception {
    errors.begin();
    errors.add("old");
    there(() -> errors.add("old there"));
    errors.begin();
    errors.add("new");
    assertThat(errors.take()).isEqualTo("new");
  }

  @Test
  void theLastErrorsAreKept() {
    errors.begin();
    for (int i = 0; i < 25; i++) {
      errors.add("e" + i);
    }
    assertThat(errors.take()).startsWith("e5; e6; ").endsWith("; e24");
  }
}
