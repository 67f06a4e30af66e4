package io.sparsedit.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class SessionTest {
  /** Every action, and cold plans after others. */
  private static final List<Action> MIXED =
      List.of(
          Action.DENSE,
          Action.PLAN_DENSE_COLD,
          Action.PLAN_DENSE,
          Action.PLAN_SPARSE,
          Action.REUSE_SPARSE,
          Action.DENSE,
          Action.REUSE_SPARSE,
          Action.PLAN_SPARSE_COLD,
          Action.PLAN_SPARSE,
          Action.REUSE_SPARSE);

  private final Model model = Model.load(Fixture.folder(), Model.Options.defaults().withThreads(1));

  @BeforeAll
  void namesTheEngine() {
    assertThat(model.backend()).startsWith("ONNX Runtime 1.");
  }

  @AfterAll
  void close() {
    model.close();
  }

  private static void refused(
      SessionException.Reason reason, String message, ThrowingCallable call) {
    assertThatExceptionOfType(SessionException.class)
        .isThrownBy(call)
        .withMessageContaining(message)
        .satisfies(e -> assertThat(e.reason()).isEqualTo(reason));
  }

  private static void checkStep(
      Session session, int step, int branch, int seed, Fixture.Expected expected) {
    Map<String, Tensor> inputs = Fixture.inputs(seed, step, 3);
    float[] y = expected.step(session.timetable().actions(step), inputs);
    Map<String, Tensor> outputs = session.run(step, branch, inputs);
    assertThat(outputs.keySet()).containsExactlyInAnyOrder("y", "twice", "half");
    assertThat(Fixture.named(outputs, "y").toFloats()).containsExactly(y);
    assertThat(Fixture.named(outputs, "y").dims()).containsExactly(3, 4);
    assertThat(Fixture.named(outputs, "twice").dims()).containsExactly(6, 4);
    assertThat(Fixture.named(outputs, "half").convert(ElementType.F32).toFloats())
        .containsExactly(y);
  }

  private static void checkState(Session session, int branch, Fixture.Expected expected) {
    for (Bundle.StateTensor tensor : Bundle.open(Fixture.folder()).state()) {
      Tensor state = session.copyState(branch, tensor);
      switch (tensor.name()) {
        case "acc" -> assertThat(state.toFloats()).containsExactly(expected.acc(tensor.site()));
        case "keep" -> assertThat(state.toLongs()).containsOnly(expected.keep(tensor.site()));
        default -> assertThat(state.dims()).containsExactly(3, 0);
      }
    }
  }

  @Test
  void outputsAndStateAreExactThroughEveryAction() {
    Schedule schedule = Schedule.listed(MIXED).withSite(1, new Rule.Periodic(.3, 2, true));
    try (Session session = model.newSession(schedule)) {
      Fixture.Expected expected = new Fixture.Expected();
      for (int step = 0; step < 10; step++) {
        checkStep(session, step, 0, 1, expected);
        checkState(session, 0, expected);
      }
    }
  }

  @Test
  void outputsAreWrittenInPlaceAndOnlyThoseAskedFor() {
    try (Session session = model.newSession(Schedule.listed(MIXED))) {
      Fixture.Expected expected = new Fixture.Expected();
      Map<String, Tensor> outputs = session.newOutputs(Fixture.inputs(1, 0, 2));
      assertThat(outputs.keySet()).containsExactly("y", "twice", "half");
      assertThat(Fixture.named(outputs, "twice")).hasToString("f32[4, 4]");
      outputs.remove("half");
      Tensor y = Fixture.named(outputs, "y");
      for (int step = 0; step < 10; step++) {
        Map<String, Tensor> inputs = Fixture.inputs(1, step, 2);
        session.run(step, 0, inputs, step == 5 ? Map.of() : outputs);
        float[] wanted = expected.step(session.timetable().actions(step), inputs);
        if (step != 5) {
          assertThat(y.toFloats()).containsExactly(wanted);
        }
      }
    }
  }

  @Test
  void branchesHaveTheirOwnState() {
    try (Session session = model.newSession()) {
      Fixture.Expected first = new Fixture.Expected();
      Fixture.Expected second = new Fixture.Expected();
      for (int step = 0; step < 10; step++) {
        checkStep(session, step, 0, 1, first);
        checkStep(session, step, 1, 2, second);
      }
      checkState(session, 0, first);
      checkState(session, 1, second);
    }
  }

  @Test
  void stepZeroStartsABranchAnewAndLeavesTheOthers() {
    try (Session session = model.newSession()) {
      Fixture.Expected kept = new Fixture.Expected();
      Fixture.Expected dropped = new Fixture.Expected();
      for (int step = 0; step < 4; step++) {
        checkStep(session, step, 0, 1, kept);
        checkStep(session, step, 1, 2, dropped);
      }
      Fixture.Expected anew = new Fixture.Expected();
      for (int step = 0; step < 10; step++) {
        checkStep(session, step, 1, 3, anew);
      }
      for (int step = 4; step < 10; step++) {
        checkStep(session, step, 0, 1, kept);
      }
      checkState(session, 0, kept);
      checkState(session, 1, anew);
    }
  }

  @Test
  void stateStartsFromZerosAlsoWhereItIsNotIgnored() {
    try (Session session = model.newSession(Schedule.dense(2))) {
      for (int repeat = 0; repeat < 2; repeat++) {
        session.run(0, 0, Fixture.inputs(1, 0, 2));
        for (Bundle.StateTensor tensor : model.bundle().state()) {
          for (float element : session.copyState(0, tensor).toFloats()) {
            assertThat(element).isZero();
          }
        }
      }
    }
  }

  @Test
  void resetForgetsAllBranches() {
    try (Session session = model.newSession()) {
      session.run(0, 0, Fixture.inputs(1, 0, 2));
      session.run(0, 1, Fixture.inputs(1, 0, 2));
      session.reset();
      Bundle.StateTensor acc = model.bundle().state().get(0);
      for (int branch = 0; branch < 2; branch++) {
        int index = branch;
        refused(
            SessionException.Reason.STEP_ORDER,
            "branch " + branch + " has no state yet",
            () -> session.copyState(index, acc));
        refused(
            SessionException.Reason.STEP_ORDER,
            "step 1 of branch " + branch + " is out of order: expected step 0",
            () -> session.run(1, index, Fixture.inputs(1, 1, 2)));
      }
      Fixture.Expected expected = new Fixture.Expected();
      for (int step = 0; step < 10; step++) {
        checkStep(session, step, 0, 1, expected);
      }
    }
  }

  @Test
  void stepsComeInOrder() {
    try (Session session = model.newSession()) {
      Map<String, Tensor> inputs = Fixture.inputs(1, 0, 2);
      refused(
          SessionException.Reason.STEP_ORDER,
          "step 3 of branch 0 is out of order: expected step 0",
          () -> session.run(3, 0, inputs));
      session.run(0, 0, inputs);
      session.run(1, 0, inputs);
      for (int step : new int[] {1, 3}) {
        refused(
            SessionException.Reason.STEP_ORDER,
            "out of order: expected step 2, or step 0",
            () -> session.run(step, 0, inputs));
      }
      for (int step : new int[] {-1, 10}) {
        refused(
            SessionException.Reason.STEP_ORDER,
            "step " + step + " is not among the schedule's 0 to 9",
            () -> session.run(step, 0, inputs));
      }
      for (int branch : new int[] {-1, 4}) {
        refused(
            SessionException.Reason.BRANCH,
            "branch " + branch + " is not among 0 to 3",
            () -> session.run(0, branch, inputs));
      }
      session.run(2, 0, inputs);
    }
  }

  @Test
  void inputsThatDoNotFitAreRefusedAndChangeNothing() {
    try (Session session = model.newSession()) {
      Fixture.Expected expected = new Fixture.Expected();
      checkStep(session, 0, 0, 1, expected);
      Map<String, Tensor> inputs = Fixture.inputs(1, 0, 2);
      refused(
          SessionException.Reason.INPUT,
          "input scale is missing, must be f32[]",
          () -> session.run(1, 0, Map.of("x", Fixture.named(inputs, "x"))));
      Map<String, Tensor> more = new HashMap<>(inputs);
      more.put("extra", Fixture.named(inputs, "x"));
      refused(
          SessionException.Reason.INPUT,
          "input extra is unknown; the model has [x, scale]",
          () -> session.run(1, 0, more));
      for (Tensor wrong :
          List.of(
              Tensor.allocate(ElementType.F16, 2, 4),
              Tensor.allocate(ElementType.F32, 2, 5),
              Tensor.allocate(ElementType.F32, 2, 4, 1))) {
        refused(
            SessionException.Reason.INPUT,
            "input x is " + wrong + ", must be f32[batch, 4]",
            () -> session.run(1, 0, Map.of("x", wrong, "scale", Fixture.named(inputs, "scale"))));
      }
      checkStep(session, 1, 0, 1, expected);
      checkStep(session, 2, 0, 1, expected);
      checkState(session, 0, expected);
    }
  }

  @Test
  void outputsThatDoNotFitAreRefused() {
    try (Session session = model.newSession()) {
      Map<String, Tensor> inputs = Fixture.inputs(1, 0, 2);
      refused(
          SessionException.Reason.OUTPUT,
          "output z is unknown; the model has [y, twice, half]",
          () -> session.run(0, 0, inputs, Map.of("z", Fixture.named(inputs, "x"))));
      refused(
          SessionException.Reason.OUTPUT,
          "output twice is f32[2, 4], must be f32[2*batch, 4], where 2*batch = 4",
          () -> session.run(0, 0, inputs, Map.of("twice", Fixture.named(inputs, "x"))));
    }
  }

  @Test
  void theShapeMayChangeFromRunToRunButNotWithin() {
    try (Session session = model.newSession()) {
      session.run(0, 0, Fixture.inputs(1, 0, 2));
      refused(
          SessionException.Reason.SHAPE_CHANGED,
          "change the state state.s0.acc from [2, 4] to [3, 4]; start again at step 0",
          () -> session.run(1, 0, Fixture.inputs(1, 1, 3)));
      Fixture.Expected expected = new Fixture.Expected();
      for (int step = 0; step < 10; step++) {
        checkStep(session, step, 0, 1, expected);
      }
      checkState(session, 0, expected);
    }
  }

  @Test
  void aStepThatFailsCanBeRunAgain(@TempDir Path temp) throws IOException {
    // With its outputs' size unknown, only the engine sees that an output has the wrong one.
    Fixture.copyTo(temp);
    Path file = temp.resolve("bundle.json");
    String text = Files.readString(file);
    int outputs = text.indexOf("\"outputs\"");
    Files.writeString(
        file,
        text.substring(0, outputs) + text.substring(outputs).replace("\"batch\"", "\"unk__0\""));
    try (Model loose = Model.load(temp);
        Session session = loose.newSession()) {
      Fixture.Expected expected = new Fixture.Expected();
      for (int step = 0; step < 10; step++) {
        int current = step;
        assertThatExceptionOfType(BackendException.class)
            .isThrownBy(
                () ->
                    session.run(
                        current,
                        0,
                        Fixture.inputs(1, current, 3),
                        Map.of("y", Tensor.allocate(ElementType.F32, 1, 4))))
            .satisfies(e -> assertThat(e.reason()).isEqualTo(BackendException.Reason.RUN_FAILED));
        checkStep(session, step, 0, 1, expected);
      }
      checkState(session, 0, expected);
      refused(
          SessionException.Reason.OUTPUT,
          "output y is f32[unk__0, 4], which the inputs' shapes do not determine",
          () -> session.newOutputs(Fixture.inputs(1, 0, 3)));
    }
  }

  @Test
  void aSessionServesOneThreadAtATime() throws Exception {
    // Two threads hammer one session: each call runs alone or is refused as busy.
    try (Session session = model.newSession()) {
      ExecutorService pool = Executors.newFixedThreadPool(2);
      try {
        CountDownLatch start = new CountDownLatch(2);
        Callable<Integer> hammer =
            () -> {
              int busy = 0;
              start.countDown();
              start.await();
              for (int i = 0; i < 300; i++) {
                try {
                  session.run(0, 0, Fixture.inputs(1, 0, 2000));
                } catch (SessionException e) {
                  assertThat(e.reason()).isEqualTo(SessionException.Reason.BUSY);
                  busy++;
                }
              }
              return busy;
            };
        Future<Integer> one = pool.submit(hammer);
        Future<Integer> two = pool.submit(hammer);
        assertThat(one.get() + two.get()).isBetween(1, 599);
      } finally {
        pool.shutdownNow();
      }
    }
  }

  @Test
  void stepsThatNobodyWaitsForAreTheSameSteps() throws Exception {
    try (Session session = model.newSession(Schedule.listed(MIXED))) {
      Fixture.Expected expected = new Fixture.Expected();
      Map<String, Tensor> outputs = session.newOutputs(Fixture.inputs(1, 0, 3));
      for (int step = 0; step < 10; step++) {
        Map<String, Tensor> inputs = Fixture.inputs(1, step, 3);
        float[] wanted = expected.step(session.timetable().actions(step), inputs);
        session.runAsync(step, 0, inputs, outputs).get();
        assertThat(Fixture.named(outputs, "y").toFloats()).containsExactly(wanted);
      }
      checkState(session, 0, expected);
    }
  }

  @Test
  void aSessionIsBusyUntilItsStepIsDone() throws Exception {
    try (Session session = model.newSession()) {
      Map<String, Tensor> inputs = Fixture.inputs(1, 0, 400_000);
      Map<String, Tensor> outputs = session.newOutputs(inputs);
      CompletableFuture<Void> first = session.runAsync(0, 0, inputs, outputs);
      refused(SessionException.Reason.BUSY, "a step of it is running", session::reset);
      first.get();
      // What waits for a step may start the next.
      session
          .runAsync(1, 0, inputs, outputs)
          .thenCompose(done -> session.runAsync(2, 0, inputs, outputs))
          .get();
      session.run(3, 0, inputs, outputs);
    }
  }

  @Test
  void whatDoesNotFitIsRefusedBeforeAStepStarts() throws Exception {
    try (Session session = model.newSession()) {
      Map<String, Tensor> inputs = Fixture.inputs(1, 0, 2);
      refused(
          SessionException.Reason.STEP_ORDER,
          "step 3 of branch 0 is out of order",
          () -> session.runAsync(3, 0, inputs, Map.of()));
      session.runAsync(0, 0, inputs, Map.of()).get();
    }
  }

  @Test
  void closingWaitsForTheStepThatRuns() throws Exception {
    Map<String, Tensor> inputs = Fixture.inputs(1, 0, 100_000);
    for (int repeat = 0; repeat < 5; repeat++) {
      Session session = model.newSession();
      Map<String, Tensor> outputs = session.newOutputs(inputs);
      CompletableFuture<Void> step = session.runAsync(0, 0, inputs, outputs);
      session.close();
      step.get();
      float[] wanted = new Fixture.Expected().step(session.timetable().actions(0), inputs);
      assertThat(Arrays.equals(Fixture.named(outputs, "y").toFloats(), wanted)).isTrue();
    }
  }

  @Test
  void tensorsOnTheGpuAreRefusedOnTheCpu() {
    try (Session session = model.newSession()) {
      Map<String, Tensor> inputs = new HashMap<>(Fixture.inputs(1, 0, 2));
      Tensor device = Tensor.onDevice(ElementType.F32, 1 << 20, 2, 4);
      refused(
          SessionException.Reason.OUTPUT,
          "output y is on the GPU, but the model runs on the CPU",
          () -> session.run(0, 0, inputs, Map.of("y", device)));
      inputs.put("x", device);
      refused(
          SessionException.Reason.INPUT,
          "input x is on the GPU, but the model runs on the CPU",
          () -> session.run(0, 0, inputs));
    }
  }

  @Test
  void onnxRuntimeTellsNoLayers() {
    try (Session session = model.newSession()) {
      session.timeLayers();
      session.run(0, 0, Fixture.inputs(1, 0, 2));
      assertThat(session.layerTimes()).isEmpty();
      assertThat(model.freeGpuMemory()).isEmpty();
    }
  }

  @Test
  void aClosedSessionRefusesEverythingButClosing() {
    Session session = model.newSession();
    session.close();
    session.close();
    refused(
        SessionException.Reason.CLOSED,
        "the session is closed",
        () -> session.run(0, 0, Fixture.inputs(1, 0, 2)));
    refused(SessionException.Reason.CLOSED, "the session is closed", session::reset);
  }

  @Test
  void concurrentSessionsDoNotMixState() throws Exception {
    int threads = 6;
    CountDownLatch start = new CountDownLatch(threads);
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try {
      List<Future<Void>> results = new ArrayList<>();
      for (int thread = 0; thread < threads; thread++) {
        int seed = thread;
        Callable<Void> request =
            () -> {
              start.countDown();
              start.await();
              for (int repeat = 0; repeat < 20; repeat++) {
                try (Session session = model.newSession()) {
                  Fixture.Expected expected = new Fixture.Expected();
                  for (int step = 0; step < 10; step++) {
                    checkStep(session, step, 0, seed * 20 + repeat, expected);
                  }
                  checkState(session, 0, expected);
                }
              }
              return null;
            };
        results.add(pool.submit(request));
      }
      for (Future<Void> result : results) {
        result.get();
      }
    } finally {
      pool.shutdownNow();
    }
  }
}
