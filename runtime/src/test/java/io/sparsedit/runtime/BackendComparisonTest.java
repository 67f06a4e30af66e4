package io.sparsedit.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.runtime.compare.BackendComparison;
import io.sparsedit.runtime.compare.ComparedStep;
import io.sparsedit.runtime.compare.TensorError;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

final class BackendComparisonTest {
  private static final Model.Options PORTABLE =
      Model.Options.defaults().withTarget(Model.Target.ONNX_RUNTIME);

  @Test
  void aModelEqualsItselfInEveryStep() {
    try (Model left = Model.load(Fixture.folder(), PORTABLE);
        Model right = Model.load(Fixture.folder(), PORTABLE)) {
      List<ComparedStep> watched = new ArrayList<>();
      List<ComparedStep> steps =
          BackendComparison.run(left, right, Map.of("batch", 2L), 5, 2, watched::add);

      assertThat(steps).hasSize(20).isEqualTo(watched);
      assertThat(steps).extracting(ComparedStep::action).contains(Action.DENSE, Action.PLAN_DENSE);
      assertThat(steps)
          .allSatisfy(
              step -> {
                assertThat(step.output()).isEqualTo(TensorError.NONE);
                assertThat(step.worstState()).isEqualTo(TensorError.NONE);
                assertThat(step.outputs()).isNotEmpty();
                assertThat(step.state()).isNotEmpty();
              });
    }
  }

  @Test
  void aModelIsAsFarFromItselfAsRoundingTakesIt() {
    try (Model model = Model.load(Fixture.folder(), PORTABLE)) {
      assertThat(BackendComparison.runRounded(model, Map.of("batch", 2L), 5, 0))
          .hasSize(10)
          .allSatisfy(step -> assertThat(step.output()).isEqualTo(TensorError.NONE));
      assertThat(BackendComparison.runRounded(model, Map.of("batch", 2L), 5, 1e-3))
          .extracting(step -> step.output().relativeL1())
          .allSatisfy(error -> assertThat(error).isBetween(1e-7, 1e-1));
    }
  }

  @Test
  void aSymbolicDimensionNeedsASize() {
    try (Model model = Model.load(Fixture.folder(), PORTABLE)) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> BackendComparison.run(model, model, Map.of(), 0, 1, step -> {}))
          .withMessageContaining("batch");
    }
  }

  @Test
  void errorsAreThoseOfTheirDefinition() {
    TensorError error = TensorError.of(floats(1, 2, 4), floats(1, 2, 5));
    assertThat(error.maximum()).isCloseTo(1 / 5.0, within(1e-12));
    assertThat(error.relativeL1()).isCloseTo(1 / 8.0, within(1e-12));
    assertThat(error.cosine()).isCloseTo(25 / Math.sqrt(21.0 * 30.0), within(1e-12));
    assertThat(TensorError.of(floats(0.25f), floats(0.5f)).maximum()).isEqualTo(0.25);
  }

  @Test
  void aNumberBesideNoNumberIsNoSmallError() {
    TensorError error = TensorError.of(floats(Float.NaN, 1), floats(2, 1));
    assertThat(error.maximum()).isNaN();
    assertThat(error.relativeL1()).isNaN();
    assertThat(TensorError.NONE.worse(error).maximum()).isNaN();
    assertThat(TensorError.of(floats(Float.NaN), floats(Float.NaN))).isEqualTo(TensorError.NONE);
  }

  @Test
  void theWorseOfTwoIsTheWorseInEachMeasure() {
    TensorError worse = new TensorError(1, 2, 0.5).worse(new TensorError(3, 1, 0.75));
    assertThat(worse).isEqualTo(new TensorError(3, 2, 0.5));
  }

  @Test
  void otherSizesAreRefused() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> TensorError.of(floats(1, 2), floats(1)))
        .withMessage("2 elements beside 1");
  }

  private static Tensor floats(float... elements) {
    return Tensor.ofFloats(new long[] {elements.length}, elements);
  }
}
