package io.sparsedit.compiler.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.tensorrt.EngineBuilder;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class ShapeProfileTest {
  private final Graph graph = Graph.create("main");

  @Test
  void aStaticModelNeedsNoShapes() {
    input("x", 1, 4);
    assertThat(profile("", "", "")).isEmpty();
  }

  @Test
  void shapesOfTheStateFollowFromThoseOfTheInputs() {
    input("x", "batch", 4, "h");
    input("action", 2);
    input("state.s0.means", "2*batch", "(h//2)", 8);

    Map<String, EngineBuilder.Shapes> shapes = profile("x:1x4x6", "x:2x4x8", "x:2x4x10");

    assertThat(shapes)
        .containsOnlyKeys("x", "state.s0.means")
        .containsEntry(
            "state.s0.means",
            new EngineBuilder.Shapes(
                List.of(2L, 3L, 8L), List.of(4L, 4L, 8L), List.of(4L, 5L, 8L)));
  }

  @Test
  void nothingIsGuessed() {
    input("x", "batch", 4);
    input("y", "length");
    assertUsage(
        () -> profile("", "", ""),
        "x [batch, 4], y [length]",
        "--min-shapes, --opt-shapes and --max-shapes");
    assertUsage(() -> profile("x:1x4", "", ""), "--min-shapes, --opt-shapes and --max-shapes");
    assertUsage(
        () -> profile("x:1x4", "x:1x4", "x:1x4"),
        "--min-shapes gives no size to y [length]: add y:length");
  }

  @Test
  void onlyInputsWithShapesOfTheirOwnAreAskedFor() {
    input("x", "batch", 4, "h");
    input("y", "batch");
    input("z", "batch", "length");
    input("state.s0.order", "batch", "(h//2)");
    assertThat(ShapeProfile.open(graph)).containsExactly("x [batch, 4, h]", "z [batch, length]");
    assertUsage(
        () -> profile("w:1", "w:1", "w:1"),
        "--min-shapes names w, which is no input of the model",
        "shapes are needed for x [batch, 4, h], z [batch, length]");
  }

  @Test
  void shapesThatDoNotFitAreRefused() {
    input("x", "batch", 4);
    input("y", "batch");
    assertUsage(() -> all("z:1"), "--min-shapes names z, which is no input", "x [batch, 4]");
    assertUsage(() -> all("x:1x4x1"), "x:1x4x1 has 3 dimensions, x [batch, 4] has 2");
    assertUsage(() -> all("x:1x5"), "x:1x5 does not fit x [batch, 4], where dimension 1 is 4");
    assertUsage(() -> all("x:2x4,y:3"), "y:3 does not fit y [batch], where dimension 0 is 2 by x");
    assertUsage(() -> profile("x:3x4", "x:2x4", "x:2x4"), "must not fall", "3x4 comes before 2x4");
  }

  @Test
  void shapesAreSpeltAsTrtexecSpellsThem() {
    assertThat(InputShapes.parse("--opt-shapes", "x:1x2x3,ns:y:4, z:").dims())
        .isEqualTo(Map.of("x", List.of(1L, 2L, 3L), "ns:y", List.of(4L), "z", List.of()));
    for (String wrong : new String[] {"x", "x:1x", "x:axb", ":1", "x:1,", "x:-1"}) {
      assertUsage(() -> InputShapes.parse("--opt-shapes", wrong), "must be NAME:1x2x3", wrong);
    }
    assertUsage(() -> InputShapes.parse("--opt-shapes", "x:1,x:2"), "names x twice");
    assertUsage(() -> InputShapes.parse("--opt-shapes", "y:1,x:2x0"), "x:2x0 has no elements");
    assertThat(InputShapes.parse("--opt-shapes", "'ns:x':1x2,y:4").dims())
        .isEqualTo(Map.of("ns:x", List.of(1L, 2L), "y", List.of(4L)));
  }

  @Test
  void shapesAreSpeltAsPolygraphySpellsThem() {
    Map<String, List<Long>> wanted = Map.of("x", List.of(1L, 2L, 3L), "y", List.of(4L));
    for (String text :
        new String[] {
          "x:[1,2,3] y:[4]", "x:[1, 2, 3],y:[4]", "x:[1,2,3], y:4", " x:1x2x3  y:[ 4 ] "
        }) {
      assertThat(InputShapes.parse("--opt-shapes", text).dims()).as(text).isEqualTo(wanted);
    }
    assertThat(InputShapes.parse("--opt-shapes", "z:[]").dims()).isEqualTo(Map.of("z", List.of()));
    for (String wrong : new String[] {"x:[1,2", "x:1,2]", "x:[1x2]", "x:[a]", "x:[1] [2]"}) {
      assertUsage(() -> InputShapes.parse("--opt-shapes", wrong), "NAME:[1,2,3]", wrong);
    }
  }

  private Map<String, EngineBuilder.Shapes> all(String shapes) {
    return profile(shapes, shapes, shapes);
  }

  private Map<String, EngineBuilder.Shapes> profile(String min, String opt, String max) {
    return ShapeProfile.of(
        graph,
        new InputRange(
            parse("--min-shapes", min), parse("--opt-shapes", opt), parse("--max-shapes", max)));
  }

  private static InputShapes parse(String option, String text) {
    return text.isEmpty() ? InputShapes.NONE : InputShapes.parse(option, text);
  }

  private static void assertUsage(Runnable call, String... parts) {
    assertThatExceptionOfType(SparsifyException.class)
        .isThrownBy(call::run)
        .satisfies(
            e -> {
              assertThat(e.kind()).isEqualTo(SparsifyException.Kind.USAGE);
              assertThat(e.getMessage()).contains(parts);
            });
  }

  private void input(String name, Object... dims) {
    List<DeclaredDim> declared =
        Arrays.stream(dims)
            .map(
                dim ->
                    dim instanceof Integer size
                        ? (DeclaredDim) new DeclaredDim.Fixed(size)
                        : new DeclaredDim.Named(dim.toString()))
            .toList();
    graph.addInput(name, new ValueType.TensorType(DataType.FLOAT, Optional.of(declared)));
  }
}
