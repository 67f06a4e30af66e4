package io.sparsedit.compiler.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Weights are mapped: they never pass through the heap. */
class LargeModelTest {
  private static final long MIB = 1L << 20;

  @TempDir Path folder;

  @Test
  void inlineWeightsAreNeitherCopiedByTheReaderNorByTheWriter() throws IOException {
    Path file = folder.resolve("large.onnx");
    Model model = modelWith(mapSparse(128 * MIB), 1);
    Measured<Boolean> written =
        measure(
            () -> {
              OnnxWriter.write(model, file);
              return true;
            });
    Measured<Model> read = measure(() -> OnnxReader.read(file));

    assertThat(file.toFile().length()).isGreaterThan(128 * MIB);
    assertThat(written.allocated()).isLessThan(8 * MIB);
    assertThat(read.allocated()).isLessThan(8 * MIB);
    Tensor weight = read.result().graph().value("w0").orElseThrow().constant().orElseThrow();
    assertThat(weight.bytes().orElseThrow().isDirect()).isTrue();
  }

  @Test
  void externalWeightsAreOnlyLookedAt() throws IOException {
    long size = 3L << 30;
    try (RandomAccessFile weights = new RandomAccessFile(folder.resolve("w.bin").toFile(), "rw")) {
      weights.setLength(size);
      weights.seek(size - 8);
      weights.writeInt(Integer.reverseBytes(Float.floatToIntBits(1.5f)));
      weights.writeInt(Integer.reverseBytes(Float.floatToIntBits(-2)));
    }
    Path file =
        Protos.write(
            Protos.model(
                Protos.addOne()
                    .addInitializer(Protos.external("big", "w.bin", "0", "", size / 4 - 2))
                    .addInitializer(
                        Protos.external("small", "w.bin", Long.toString(size - 8), "8", 2))),
            folder.resolve("model.onnx"));
    OnnxReader.read(file);

    Measured<Model> read = measure(() -> OnnxReader.read(file));

    assertThat(read.millis()).isLessThan(500);
    assertThat(read.allocated()).isLessThan(MIB);
    Graph graph = read.result().graph();
    Tensor small = graph.value("small").orElseThrow().constant().orElseThrow();
    assertThat(small.doubles()).as("not loaded by itself").isEmpty();
    ExternalData data = ExternalData.of(read.result());
    assertThat(data.load(small).doubles().orElseThrow()).containsExactly(1.5, -2);
    Tensor big = graph.value("big").orElseThrow().constant().orElseThrow();
    assertThatThrownBy(() -> data.load(big))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("tensor 'big'")
        .hasMessageContaining("too large");
  }

  @Test
  void aModelThatNoOnnxFileCanHoldIsRefused() throws IOException {
    Model model = modelWith(mapSparse(700 * MIB), 3);

    assertThatThrownBy(() -> OnnxWriter.write(model, folder.resolve("out.onnx")))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("exceed 2 GB")
        .hasMessageContaining("external data");
    assertThat(folder.toFile().list()).containsExactly("sparse.bin");
  }

  @Test
  void aFileOverTwoGigabytesIsRefused() throws IOException {
    Path file = folder.resolve("huge.onnx");
    try (RandomAccessFile huge = new RandomAccessFile(file.toFile(), "rw")) {
      huge.setLength((2L << 30) + 1);
    }

    assertThatThrownBy(() -> OnnxReader.read(file))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("larger than 2 GB");
  }

  private static Model modelWith(ByteBuffer bytes, int tensors) {
    Model model = new Model(Graph.create("large"), 10);
    model.opsets().put("", 17L);
    for (int i = 0; i < tensors; i++) {
      Tensor tensor = Tensor.raw(DataType.UINT8, new long[] {bytes.remaining()}, bytes);
      model.graph().addOutput(model.graph().addInitializer("w" + i, tensor));
    }
    return model;
  }

  private ByteBuffer mapSparse(long size) throws IOException {
    try (RandomAccessFile file =
        new RandomAccessFile(folder.resolve("sparse.bin").toFile(), "rw")) {
      file.setLength(size);
      return file.getChannel().map(FileChannel.MapMode.READ_ONLY, 0, size);
    }
  }

  private record Measured<T>(T result, long allocated, long millis) {}

  private static <T> Measured<T> measure(Supplier<T> work) {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadAllocatedBytes();
    long start = System.nanoTime();
    T result = work.get();
    long nanos = System.nanoTime() - start;
    long allocated = threads.getCurrentThreadAllocatedBytes() - before;
    return new Measured<>(result, allocated, nanos / 1_000_000);
  }
}
