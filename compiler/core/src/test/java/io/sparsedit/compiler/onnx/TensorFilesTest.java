package io.sparsedit.compiler.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.TestData;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TensorFilesTest {
  @TempDir Path folder;

  @Test
  void aRecordedTensorIsReadAndWrittenBack() throws IOException {
    Path file = TestData.model("wan21_t2v-ts17-static").resolveSibling("inputs/input_0.pb");

    Tensor tensor = TensorFiles.read(file);
    Path copy = folder.resolve("copy.pb");
    TensorFiles.write(tensor, copy);

    assertThat(tensor.type()).isEqualTo(DataType.FLOAT);
    assertThat(tensor.dims()).containsExactly(1, 4, 4, 16, 12);
    assertThat(Files.readAllBytes(copy)).isEqualTo(Files.readAllBytes(file));
  }

  @Test
  void aFileThatIsNoTensorIsNamed() throws IOException {
    Path file = Files.writeString(folder.resolve("input.pb"), "hello");

    assertThatThrownBy(() -> TensorFiles.read(file))
        .isInstanceOf(SparsifyException.class)
        .hasMessageStartingWith(file.toString())
        .hasMessageContaining("not a tensor");
  }
}
