package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.onnx.OnnxWriter;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Planted attention is found, whatever its spelling, and nothing else is. */
final class RandomGraphsTest {
  private static final CompileOptions OPTIONS =
      new CompileOptions(Svg2Settings.PUBLISHED, Optional.empty(), DenseLayers.PUBLISHED, true);

  @TempDir private Path folder;

  @Test
  void sixtyGraphs() {
    check(0, 60);
  }

  @Test
  @Tag("slow")
  void thousandGraphs() {
    check(1000, 2000);
  }

  private void check(int from, int to) {
    for (int seed = from; seed < to; seed++) {
      RandomGraph graph = new RandomGraph(seed);
      Path file = folder.resolve("random.onnx");
      OnnxWriter.write(graph.model(), file);

      Inspection found = Pipeline.inspect(file, OPTIONS, Progress.SILENT);

      assertThat(found.sites().stream().map(RandomGraph::describe))
          .as("seed %d, not understood: %s", seed, found.notUnderstood())
          .containsExactlyElementsOf(graph.planted);
    }
  }
}
