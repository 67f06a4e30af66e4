package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.compiler.onnx.WeightFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What is recognised in every graph of {@code testdata/zoo}. */
final class ZooSitesTest {
  private static final CompileOptions OPTIONS =
      new CompileOptions(Svg2Settings.PUBLISHED, Optional.empty(), DenseLayers.PUBLISHED, true);

  @TempDir private static Path folder;

  /** After a change that is meant, {@code target/sites.txt} is the new golden text. */
  @Test
  void everySiteIsFoundWithItsKindAndSizes() throws IOException {
    String found =
        ZooGraphs.names().stream()
            .map(name -> row(name, inspect(ZooGraphs.model(name, folder))) + "\n")
            .collect(Collectors.joining());

    Files.createDirectories(Path.of("target"));
    Files.writeString(Path.of("target", "sites.txt"), found);
    assertThat(found)
        .isEqualTo(Files.readString(ZooGraphs.ZOO.resolve("sites.golden.txt")).replace("\r", ""));
  }

  static Stream<String> names() {
    return ZooGraphs.names().stream();
  }

  @ParameterizedTest
  @MethodSource("names")
  void namesDoNotMatter(String name) throws IOException {
    Path original = ZooGraphs.model(name, folder);
    Model model = OnnxReader.read(original);
    rename(model);
    Path place = Files.createDirectories(folder.resolve("renamed").resolve(name));
    WeightFiles.of(model).placeIn(place, WeightFiles.Mode.COPY);
    Path renamed = place.resolve("model.onnx");
    OnnxWriter.write(model, renamed);

    assertThat(row(name, inspect(renamed))).isEqualTo(row(name, inspect(original)));
  }

  /** All names but those of symbolic dimensions, which are declared apart. */
  private static void rename(Model model) {
    Graph graph = model.graph();
    int count = 0;
    for (Value value : List.copyOf(graph.values())) {
      value.rename("x" + count++);
    }
    for (Node node : graph.nodes()) {
      node.setName("n" + count++);
      node.metadata().clear();
    }
  }

  private static Inspection inspect(Path file) {
    return Pipeline.inspect(file, OPTIONS, Progress.SILENT);
  }

  /** Such as {@code name | 4x8x6 | text last 24 | text 2x32 24, joint 2x32 216 mask}. */
  private static String row(String name, Inspection inspection) {
    String video = inspection.geometry().map(VideoGeometry::toString).orElse("video not known");
    String text = inspection.jointTokens().map(TokenLayout::toString).orElse("no joint sites");
    String sites =
        inspection.sites().stream().map(ZooSitesTest::site).collect(Collectors.joining(", "));
    String open =
        inspection.notUnderstood().isEmpty()
            ? ""
            : " | " + inspection.notUnderstood().size() + " not understood";
    return name + " | " + video + " | " + text + " | " + sites + open;
  }

  private static String site(Site site) {
    Site.Shape shape = site.shape();
    String tokens =
        shape.queryTokens().equals(shape.keyTokens())
            ? shape.queryTokens().toString()
            : shape.queryTokens() + " to " + shape.keyTokens();
    return site.kind().label()
        + " "
        + shape.heads()
        + "x"
        + shape.headDim()
        + " "
        + tokens
        + (site.masked() ? " mask" : "");
  }
}
