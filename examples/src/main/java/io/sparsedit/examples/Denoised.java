package io.sparsedit.examples;

import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Schedule;
import io.sparsedit.runtime.Session;
import io.sparsedit.runtime.Tensor;
import io.sparsedit.runtime.Timetable;
import io.sparsedit.runtime.sampling.Roles;
import io.sparsedit.runtime.sampling.Sigmas;
import io.sparsedit.runtime.sampling.Trajectory;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * What came out of a whole denoising run.
 *
 * @param clip the video
 * @param timetable what the sites did
 * @param milliseconds the time of the model at each step
 */
record Denoised(Clip clip, Timetable timetable, List<Double> milliseconds) {
  Denoised {
    milliseconds = List.copyOf(milliseconds);
  }

  /**
   * Runs a schedule from noise to video.
   *
   * @param shift of the noise levels, see {@link Sigmas}
   * @param start the model's inputs; they are copied
   * @throws IllegalArgumentException if the model does not make RGB video
   */
  static Denoised run(Model model, Schedule schedule, double shift, Map<String, Tensor> start) {
    try (Session session = model.newSession(schedule)) {
      int steps = session.timetable().steps();
      Trajectory run =
          new Trajectory(session, Sigmas.of(steps, shift), Roles.of(model.bundle()), start);
      Clip.check(run.output());
      List<Double> milliseconds = new ArrayList<>();
      for (int step = 0; step < steps; step++) {
        run.evaluate(step);
        milliseconds.add(run.milliseconds());
        run.advance(step);
      }
      Tensor latents =
          run.latents()
              .orElseThrow(
                  () ->
                      new IllegalArgumentException("the model has no input shaped as its output"));
      return new Denoised(Clip.of(latents), session.timetable(), milliseconds);
    }
  }

  double seconds() {
    return milliseconds.stream().mapToDouble(Double::doubleValue).sum() / 1000;
  }

  int steps() {
    return timetable.steps();
  }

  /** How many steps passed before the first in which some site was sparse. */
  int denseSteps() {
    int step = 0;
    while (step < steps() && timetable.actions(step).stream().noneMatch(Action::isSparse)) {
      step++;
    }
    return step;
  }
}
