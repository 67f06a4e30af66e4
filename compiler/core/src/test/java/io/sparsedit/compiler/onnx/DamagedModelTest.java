package io.sparsedit.compiler.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.TestData;
import io.sparsedit.compiler.ir.Model;
import java.io.IOException;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Any bytes give a model that can be written again, or the one exception. */
class DamagedModelTest {
  private static final int ROUNDS = Integer.getInteger("sparsedit.fuzz", 30);

  @ParameterizedTest
  @ValueSource(strings = {"wan21_t2v-ts17-external", "wan21_t2v-dynamo18-static", "everything"})
  void randomDamage(String name) throws IOException {
    byte[] whole =
        name.equals("everything")
            ? Protos.everything().build().toByteArray()
            : Files.readAllBytes(TestData.model(name));
    Random random = new Random(20261122);
    int readable = 0;
    int rounds = name.equals("everything") ? 30 * ROUNDS : ROUNDS;
    for (int i = 0; i < rounds; i++) {
      byte[] damaged = whole.clone();
      if (random.nextInt(4) == 0) {
        damaged = Arrays.copyOf(damaged, random.nextInt(damaged.length));
      }
      for (int flips = random.nextInt(5); flips > 0 && damaged.length > 0; flips--) {
        damaged[random.nextInt(damaged.length)] ^= (byte) (1 << random.nextInt(8));
      }
      try {
        Model model = OnnxReader.fromBytes(damaged, "damaged");
        OnnxReader.fromBytes(OnnxWriter.toBytes(model), "written");
        readable++;
      } catch (SparsifyException e) {
        assertThat(e).hasMessageStartingWith("damaged: ");
      } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
        fail("round " + i, e);
      }
    }
    assertThat(readable).as("damage that still leaves a model").isBetween(1, rounds - 1);
  }
}
