package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.passes.functions.RotatedTokens;
import io.sparsedit.passes.qk.Prepared;
import io.sparsedit.passes.qk.Rope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** QK-norm and RoPE in every graph of {@code testdata/zoo}. */
final class ZooQkNormRopeTest {
  @TempDir private static Path folder;

  /** After a change that is meant, {@code target/qknorm.txt} is the new golden text. */
  @Test
  void normAndRopeOfEverySiteAreFound() throws IOException {
    StringBuilder found = new StringBuilder();
    for (String name : ZooGraphs.names()) {
      found.append(rows(name, inspect(ZooGraphs.model(name, folder))));
    }

    Files.createDirectories(Path.of("target"));
    Files.writeString(Path.of("target", "qknorm.txt"), found);
    assertThat(found.toString())
        .isEqualTo(Files.readString(ZooGraphs.ZOO.resolve("qknorm.golden.txt")).replace("\r", ""));
  }

  static Stream<String> names() {
    return ZooGraphs.names().stream();
  }

  @ParameterizedTest
  @MethodSource("names")
  void namesDoNotMatter(String name) throws IOException {
    Path original = ZooGraphs.model(name, folder);
    Model model = OnnxReader.read(original);
    renameAllButInputs(model);
    Path place = Files.createDirectories(folder.resolve("renamed").resolve(name));
    WeightFiles.of(model).placeIn(place, WeightFiles.Mode.COPY);
    Path renamed = place.resolve("model.onnx");
    OnnxWriter.write(model, renamed);

    assertThat(rows(name, inspect(renamed))).isEqualTo(rows(name, inspect(original)));
  }

  /** Where only some tokens are rotated, those are the video's. */
  @ParameterizedTest
  @MethodSource("names")
  void rotatedTokensAreTheVideo(String name) throws IOException {
    Path meta = ZooGraphs.ZOO.resolve(name).resolve("meta.json");
    if (!Files.exists(meta)) {
      return;
    }
    JsonNode geometry = new ObjectMapper().readTree(meta.toFile()).path("geometry");
    long video =
        geometry.path("frames").asLong()
            * geometry.path("height").asLong()
            * geometry.path("width").asLong();
    for (Site site : inspect(ZooGraphs.model(name, folder)).sites()) {
      for (Prepared prepared : List.of(site.preparation().query(), site.preparation().key())) {
        for (Prepared.Part part : prepared.parts()) {
          Optional<Rope> rope = part.rope();
          if (rope.isPresent() && rope.get().rotatedTokens().isConstant()) {
            assertThat(rope.get().rotatedTokens().is(video)).as(site.name()).isTrue();
            assertThat(rope.get().tokens() == RotatedTokens.ALL).isEqualTo(part.tokens().is(video));
          }
        }
      }
    }
  }

  /** Graph inputs keep their names, which are part of the facts. */
  private static void renameAllButInputs(Model model) {
    Graph graph = model.graph();
    int count = 0;
    for (Value value : List.copyOf(graph.values())) {
      if (!graph.inputs().contains(value)) {
        value.rename("x" + count++);
      }
    }
    for (Node node : graph.nodes()) {
      node.setName("n" + count++);
      node.metadata().clear();
    }
  }

  private static Inspection inspect(Path file) {
    return Pipeline.inspect(file, CompileOptions.DEFAULT, Progress.SILENT);
  }

  /** One row for each kind of site and what stands in front of it. */
  private static String rows(String name, Inspection inspection) {
    Set<String> rows = new LinkedHashSet<>();
    for (Site site : inspection.sites()) {
      rows.add(name + " | " + site.kind().label() + " | " + site.preparation() + "\n");
    }
    return rows.stream().collect(Collectors.joining());
  }
}
