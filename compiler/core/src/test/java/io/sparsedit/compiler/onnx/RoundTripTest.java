package io.sparsedit.compiler.onnx;

import static org.assertj.core.api.Assertions.assertThat;

import ai.onnx.proto.OnnxMl.ModelProto;
import io.sparsedit.compiler.TestData;
import io.sparsedit.compiler.ir.Model;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Reading and writing a model that nobody touched loses nothing. */
class RoundTripTest {
  static List<Path> zoo() {
    return TestData.zoo();
  }

  @ParameterizedTest
  @MethodSource("zoo")
  void aRealExportComesBackEqual(Path file) throws IOException {
    Model model = OnnxReader.read(file);

    ModelProto again = ModelProto.parseFrom(OnnxWriter.toBytes(model));

    ModelProto original = ModelProto.parseFrom(Files.readAllBytes(file));
    assertThat(again.equals(original)).isTrue();
  }
}
