package io.sparsedit.compiler.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.onnx.proto.OnnxMl.GraphProto;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.TestData;
import io.sparsedit.compiler.ir.Model;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

class WeightFilesTest {
  @TempDir Path root;

  private Path source = Path.of("");
  private Path bundle = Path.of("");
  private Path file = Path.of("");

  @BeforeEach
  void aModelWithTwoWeightFiles() throws IOException {
    source = root.resolve("source");
    Files.createDirectories(source.resolve("sub"));
    bundle = root.resolve("bundle");
    Files.write(source.resolve("a.bin"), new byte[] {1, 2, 3, 4});
    Files.write(source.resolve("sub/b.bin"), new byte[] {5, 6, 7, 8, 9, 10, 11, 12});
    GraphProto.Builder graph =
        Protos.addOne()
            .addInitializer(Protos.external("a", "a.bin", "0", "4", 1))
            .addInitializer(Protos.external("b", "sub/b.bin", "4", "4", 1))
            .addInitializer(Protos.external("c", "sub/b.bin", "0", "4", 1));
    file = Protos.write(Protos.model(graph), source.resolve("model.onnx"));
  }

  @Test
  void theFilesOfARealExportAreFound() {
    Model model = OnnxReader.read(TestData.model("wan21_t2v-ts17-external"));
    assertThat(WeightFiles.of(model).locations()).containsExactly("model.onnx.data");
    Model inline = OnnxReader.read(TestData.model("wan21_t2v-ts17-static"));
    assertThat(WeightFiles.of(inline).locations()).isEmpty();
    assertThat(WeightFiles.of(inline).placeIn(bundle, WeightFiles.Mode.LINK)).isEmpty();
  }

  @Test
  void aLinkTakesNoSpaceAndOutlivesTheOriginal() throws IOException {
    List<WeightFiles.Placed> placed = weights().placeIn(bundle, WeightFiles.Mode.LINK);

    assertThat(placed)
        .containsExactly(
            new WeightFiles.Placed("a.bin", 4, true), new WeightFiles.Placed("sub/b.bin", 8, true));
    assertThat(Files.isSameFile(source.resolve("a.bin"), bundle.resolve("a.bin"))).isTrue();
    Files.delete(source.resolve("a.bin"));
    assertThat(Files.readAllBytes(bundle.resolve("a.bin"))).containsExactly(1, 2, 3, 4);
  }

  @Test
  void aLinkToASymbolicLinkLinksTheFileItself() throws IOException {
    Files.move(source.resolve("a.bin"), source.resolve("stored"));
    Files.createSymbolicLink(source.resolve("a.bin"), Path.of("stored"));

    weights().placeIn(bundle, WeightFiles.Mode.LINK);

    assertThat(Files.isSymbolicLink(bundle.resolve("a.bin"))).isFalse();
    assertThat(Files.readAllBytes(bundle.resolve("a.bin"))).containsExactly(1, 2, 3, 4);
  }

  @Test
  void aModelInAFolderOfLinksIntoAStoreIsFollowed() throws IOException {
    // The layout of the Hugging Face cache.
    Path snapshot = Files.createDirectories(root.resolve("snapshots/1"));
    Path blobs = Files.createDirectories(root.resolve("blobs"));
    Files.move(source.resolve("a.bin"), blobs.resolve("17"));
    Files.createDirectories(snapshot.resolve("sub"));
    Files.move(source.resolve("sub/b.bin"), blobs.resolve("18"));
    Files.move(file, blobs.resolve("19"));
    Files.createSymbolicLink(snapshot.resolve("a.bin"), Path.of("../../blobs/17"));
    Files.createSymbolicLink(snapshot.resolve("sub/b.bin"), Path.of("../../../blobs/18"));
    Files.createSymbolicLink(snapshot.resolve("model.onnx"), Path.of("../../blobs/19"));

    Model model = OnnxReader.read(snapshot.resolve("model.onnx"));
    WeightFiles.of(model).placeIn(bundle, WeightFiles.Mode.LINK);

    assertThat(Files.isSameFile(bundle.resolve("sub/b.bin"), blobs.resolve("18"))).isTrue();
  }

  @Test
  void aCopyIsIndependent() throws IOException {
    List<WeightFiles.Placed> placed = weights().placeIn(bundle, WeightFiles.Mode.COPY);

    assertThat(placed).extracting(WeightFiles.Placed::linked).containsOnly(false);
    Files.write(source.resolve("a.bin"), new byte[4]);
    assertThat(Files.readAllBytes(bundle.resolve("a.bin"))).containsExactly(1, 2, 3, 4);
    assertThat(Files.readAllBytes(bundle.resolve("sub/b.bin"))).hasSize(8);
  }

  @Test
  void placingAgainReplacesWithoutTouchingWhatIsLinked() throws IOException {
    Files.createDirectories(bundle);
    Files.write(root.resolve("precious"), new byte[] {42});
    Files.createLink(bundle.resolve("a.bin"), root.resolve("precious"));

    weights().placeIn(bundle, WeightFiles.Mode.COPY);
    weights().placeIn(bundle, WeightFiles.Mode.LINK);
    weights().placeIn(bundle, WeightFiles.Mode.LINK);

    assertThat(Files.readAllBytes(bundle.resolve("a.bin"))).containsExactly(1, 2, 3, 4);
    assertThat(Files.readAllBytes(root.resolve("precious"))).containsExactly(42);
  }

  @Test
  void afterAFailureNothingIsLeft() throws IOException {
    WeightFiles weights = weights();
    Files.delete(source.resolve("sub/b.bin"));

    assertThatThrownBy(() -> weights.placeIn(bundle, WeightFiles.Mode.COPY))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("b.bin is missing");
    assertThat(bundle).doesNotExist();
  }

  @Test
  void aFolderInTheWayIsNamed() throws IOException {
    Files.createDirectories(bundle.resolve("a.bin/x"));

    assertThatThrownBy(() -> weights().placeIn(bundle, WeightFiles.Mode.LINK))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("a.bin: the weights cannot be written: there is a folder");
    try (Stream<Path> left = Files.list(bundle)) {
      assertThat(left).containsExactly(bundle.resolve("a.bin"));
    }
  }

  @Test
  @EnabledIf("hasSecondFileSystem")
  void aLinkToAnotherFileSystemBecomesACopy() throws IOException {
    Path elsewhere = Files.createTempDirectory(Path.of("/dev/shm"), "sparsedit");
    try {
      List<WeightFiles.Placed> placed = weights().placeIn(elsewhere, WeightFiles.Mode.LINK);

      assertThat(placed).extracting(WeightFiles.Placed::linked).containsOnly(false);
      assertThat(Files.readAllBytes(elsewhere.resolve("sub/b.bin"))).hasSize(8);
    } finally {
      try (Stream<Path> all = Files.walk(elsewhere)) {
        for (Path path : all.sorted((p, q) -> q.compareTo(p)).toList()) {
          Files.delete(path);
        }
      }
    }
  }

  static boolean hasSecondFileSystem() throws IOException {
    Path shm = Path.of("/dev/shm");
    return Files.isWritable(shm)
        && !Files.getFileStore(shm)
            .equals(Files.getFileStore(Path.of(System.getProperty("java.io.tmpdir"))));
  }

  private WeightFiles weights() {
    return WeightFiles.of(OnnxReader.read(file));
  }
}
