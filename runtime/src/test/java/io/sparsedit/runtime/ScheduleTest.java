package io.sparsedit.runtime;

import static io.sparsedit.runtime.Action.DENSE;
import static io.sparsedit.runtime.Action.PLAN_DENSE;
import static io.sparsedit.runtime.Action.PLAN_DENSE_COLD;
import static io.sparsedit.runtime.Action.PLAN_SPARSE;
import static io.sparsedit.runtime.Action.PLAN_SPARSE_COLD;
import static io.sparsedit.runtime.Action.REUSE_SPARSE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ScheduleTest {
  private final Bundle bundle = Bundle.open(Fixture.folder());

  private static List<Action> site(Timetable timetable, int site) {
    return IntStream.range(0, timetable.steps()).mapToObj(s -> timetable.action(s, site)).toList();
  }

  private static void refused(
      ScheduleException.Reason reason, String message, ThrowingCallable call) {
    assertThatExceptionOfType(ScheduleException.class)
        .isThrownBy(call)
        .withMessageContaining(message)
        .satisfies(e -> assertThat(e.reason()).isEqualTo(reason));
  }

  @Test
  void theBundlesScheduleWarmsUpPlansAndReuses() {
    Timetable timetable = Schedule.of(bundle).resolve(bundle);
    assertThat(timetable.steps()).isEqualTo(10);
    assertThat(timetable.sites()).isEqualTo(2);
    assertThat(site(timetable, 1))
        .containsExactly(
            DENSE,
            DENSE,
            PLAN_SPARSE_COLD,
            REUSE_SPARSE,
            PLAN_SPARSE,
            REUSE_SPARSE,
            PLAN_SPARSE,
            REUSE_SPARSE,
            PLAN_SPARSE,
            REUSE_SPARSE);
    assertThat(timetable.describe(2)).isEqualTo("PLAN_SPARSE_COLD");
  }

  @Test
  void aSiteMayHaveAScheduleAndAMethodOfItsOwn(@TempDir Path temp) throws IOException {
    Fixture.copyTo(
        temp,
        "\"index\": 1,",
        "\"index\": 1, \"method\": {\"name\": \"adaspa\"}, \"schedule\": {\"searchSteps\": [1, 4]},");
    Bundle mixed = Bundle.open(temp);
    assertThat(mixed.sites().get(0).method()).isEqualTo("svg2");
    assertThat(mixed.sites().get(1).method()).isEqualTo("adaspa");

    Timetable timetable = Schedule.of(mixed).resolve(mixed);
    assertThat(site(timetable, 0)).isEqualTo(site(Schedule.of(bundle).resolve(bundle), 0));
    assertThat(site(timetable, 1).subList(0, 6))
        .containsExactly(
            DENSE, PLAN_DENSE_COLD, REUSE_SPARSE, REUSE_SPARSE, PLAN_SPARSE, REUSE_SPARSE);
    // At the same fractions of a longer run.
    assertThat(site(Schedule.steps(20).resolve(mixed), 1).subList(2, 4))
        .containsExactly(PLAN_DENSE_COLD, REUSE_SPARSE);
    assertThat(site(Schedule.dense(3).resolve(mixed), 1)).containsOnly(DENSE);
  }

  @Test
  void aPlanThatIsNotInTheStateIsNotReused(@TempDir Path temp) throws IOException {
    Fixture.copyTo(temp, "\"index\": 0,", "\"index\": 0, \"planInState\": false,");
    Bundle without = Bundle.open(temp);
    refused(
        ScheduleException.Reason.PLAN_NOT_KEPT,
        "step 3, site 0 (blocks.0.attn1): the plan is to be re-used",
        () -> Schedule.of(without).resolve(without));
    assertThat(Schedule.of(without).withReplanInterval(1).resolve(without).steps()).isEqualTo(10);
  }

  @Test
  void stepsAloneLeaveTheRestToTheBundle() {
    assertThat(site(Schedule.steps(5).resolve(bundle), 0))
        .containsExactly(DENSE, PLAN_SPARSE_COLD, REUSE_SPARSE, PLAN_SPARSE, REUSE_SPARSE);
  }

  @Test
  void planningDuringWarmupMakesTheFirstSparseStepWarm() {
    Schedule schedule =
        Schedule.steps(6).withDenseWarmup(.5).withPlanDuringWarmup(true).withReplanInterval(2);
    assertThat(site(schedule.resolve(bundle), 0))
        .containsExactly(
            PLAN_DENSE_COLD, PLAN_DENSE, PLAN_DENSE, PLAN_SPARSE, REUSE_SPARSE, PLAN_SPARSE);
    assertThat(site(schedule.withDenseWarmup(0).withSteps(2).resolve(bundle), 0))
        .containsExactly(PLAN_SPARSE_COLD, REUSE_SPARSE);
  }

  /** The published settings: docs/methods.md. */
  @ParameterizedTest
  @CsvSource({
    "0.2, 50, 10",
    "0.35, 40, 14",
    "0.2, 40, 8",
    "0.1, 50, 5",
    "0.04, 50, 2",
    "0.3, 35, 10",
    "0.29, 100, 29",
    "1, 7, 7",
    "0, 7, 0"
  })
  void warmupIsTheFloorOfTheFraction(double fraction, int steps, int dense) {
    List<Action> actions = new Rule.Periodic(fraction, 1, false).actions(steps);
    assertThat(actions).hasSize(steps);
    assertThat(actions.subList(0, dense)).allMatch(DENSE::equals);
    assertThat(actions.subList(dense, steps)).noneMatch(DENSE::equals);
  }

  @Test
  void searchesPlanDenselyFirstAndReuseInBetween() {
    Schedule schedule = Schedule.steps(6).withRule(new Rule.Searches(List.of(1, 4)));
    assertThat(site(schedule.resolve(bundle), 0))
        .containsExactly(
            DENSE, PLAN_DENSE_COLD, REUSE_SPARSE, REUSE_SPARSE, PLAN_SPARSE, REUSE_SPARSE);
  }

  @Test
  void theBundlesSearchesKeepTheirPlaceInAShorterRun(@TempDir Path temp) throws IOException {
    Bundle adaspa =
        Bundle.open(
            Fixture.copyTo(temp, "\"steps\": 10,", "\"steps\": 50, \"searchSteps\": [9, 29],"));
    assertThat(adaspa.defaultRule()).isEqualTo(new Rule.Searches(List.of(9, 29)));
    List<Action> published = site(Schedule.of(adaspa).resolve(adaspa), 0);
    assertThat(published).hasSize(50);
    assertThat(published.get(9)).isEqualTo(PLAN_DENSE_COLD);
    assertThat(published.get(29)).isEqualTo(PLAN_SPARSE);
    assertThat(site(Schedule.of(adaspa).withSteps(5).resolve(adaspa), 0))
        .containsExactly(PLAN_DENSE_COLD, REUSE_SPARSE, PLAN_SPARSE, REUSE_SPARSE, REUSE_SPARSE);
    refused(
        ScheduleException.Reason.INVALID,
        "belong to a periodic schedule",
        () -> Schedule.of(adaspa).withDenseWarmup(.1).resolve(adaspa));
  }

  @Test
  void aSiteCanHaveItsOwnRule() {
    Timetable timetable = Schedule.steps(4).withSite(1, Rule.dense()).resolve(bundle);
    assertThat(site(timetable, 1)).containsOnly(DENSE);
    assertThat(site(timetable, 0)).contains(PLAN_SPARSE_COLD);
    assertThat(timetable.describe(0)).isEqualTo("1 DENSE + 1 PLAN_SPARSE_COLD");
  }

  @Test
  void denseSchedulesAreDense() {
    assertThat(site(Schedule.dense(3).resolve(bundle), 0)).containsExactly(DENSE, DENSE, DENSE);
  }

  @Test
  void reuseOrAWarmPlanBeforeAnyColdPlanIsRefused() {
    for (Action action : new Action[] {REUSE_SPARSE, PLAN_SPARSE, PLAN_DENSE}) {
      refused(
          ScheduleException.Reason.NO_PLAN_YET,
          "step 1, site 0 (blocks.0.attn1): " + action,
          () -> Schedule.listed(List.of(DENSE, action)).resolve(bundle));
    }
    refused(
        ScheduleException.Reason.NO_PLAN_YET,
        "step 0, site 1",
        () ->
            Schedule.of(bundle)
                .withSteps(1)
                .withSite(1, new Rule.Listed(List.of(REUSE_SPARSE)))
                .resolve(bundle));
  }

  @Test
  void reuseIsRefusedWhereTheStateDoesNotHoldThePlan(@TempDir Path temp) throws IOException {
    Path folder = Fixture.copyTo(temp, "\"name\": \"keep\"", "\"name\": \"other\"");
    assertThat(Bundle.open(folder).keepsPlan(0)).isTrue();
    Files.writeString(
        folder.resolve("bundle.json"),
        Files.readString(folder.resolve("bundle.json"))
            .replace("\"replanInterval\": 2", "\"replanInterval\": 1"));
    Bundle planless = Bundle.open(folder);
    assertThat(planless.keepsPlan(0)).isFalse();
    assertThat(Schedule.of(planless).resolve(planless).steps()).isEqualTo(10);
    refused(
        ScheduleException.Reason.PLAN_NOT_KEPT,
        "step 3, site 0 (blocks.0.attn1): the plan is to be re-used",
        () -> Schedule.of(planless).withReplanInterval(2).resolve(planless));
  }

  @Test
  void nonsenseIsRefused() {
    refused(ScheduleException.Reason.INVALID, "at least 1 step", () -> Schedule.steps(0));
    refused(
        ScheduleException.Reason.INVALID,
        "replanInterval must be at least 1, is 0",
        () -> Schedule.of(bundle).withReplanInterval(0).resolve(bundle));
    for (double fraction : new double[] {-.1, 1.1, Double.NaN}) {
      refused(
          ScheduleException.Reason.INVALID,
          "denseWarmup must be 0 to 1",
          () -> Schedule.of(bundle).withDenseWarmup(fraction).resolve(bundle));
    }
    refused(
        ScheduleException.Reason.INVALID,
        "1 actions are listed for 2 steps",
        () -> Schedule.listed(List.of(DENSE)).withSteps(2).resolve(bundle));
    refused(
        ScheduleException.Reason.UNKNOWN_SITE,
        "there is no site 2: the bundle has 2",
        () -> Schedule.of(bundle).withSite(2, Rule.dense()).resolve(bundle));
    refused(
        ScheduleException.Reason.INVALID, "must ascend", () -> new Rule.Searches(List.of(3, 3)));
    refused(
        ScheduleException.Reason.INVALID,
        "there must be a search step",
        () -> new Rule.Searches(List.of()));
  }
}
