package io.sparsedit.examples;

import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Schedule;
import io.sparsedit.runtime.Session;
import io.sparsedit.runtime.Tensor;
import io.sparsedit.runtime.sampling.Roles;
import io.sparsedit.runtime.sampling.SeededInputs;
import io.sparsedit.runtime.sampling.Sigmas;
import io.sparsedit.runtime.sampling.Trajectory;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Runs a bundle through a denoising schedule on seeded noise, beside the same model with all sites
 * dense, and prints for each step what the sites did, the time and how far the outputs are apart.
 */
public final class RunSteps implements Program {
  private static final String USAGE =
      """
      usage: RunSteps BUNDLE [options]
        --steps N         denoising steps (default: the bundle's)
        --seed N          seed of the noise (default 0)
        --threads N       threads (default: all cores)
        --dim NAME=SIZE   size of a symbolic dimension of the inputs; repeat for more
        --same-inputs     feed the dense run's latents to both at every step, so that each line
                          shows the error of its step alone""";

  private int steps;
  private long seed;
  private boolean sameInputs;
  private Model.Options options = Model.Options.defaults();
  private final Map<String, Long> sizes = new HashMap<>();
  private final Path folder;

  private RunSteps(Arguments arguments) {
    this.folder = Path.of(arguments.next("BUNDLE"));
    while (!arguments.isEmpty()) {
      String option = arguments.next("an option");
      switch (option) {
        case "--steps" -> steps = arguments.nextCount(option);
        case "--seed" -> seed = arguments.nextLong(option);
        case "--threads" -> options = options.withThreads(arguments.nextCount(option));
        case "--dim" -> arguments.nextSize(option, sizes);
        case "--same-inputs" -> sameInputs = true;
        default -> throw new IllegalArgumentException("unknown option " + option);
      }
    }
  }

  /** Runs the program; see {@code examples/README.md}. */
  public static void main(String... arguments) {
    System.exit(run(List.of(arguments), System.out, System.err));
  }

  /** Runs the program and returns its exit code: 0, 1 where a bundle fails, 2 for wrong usage. */
  static int run(List<String> arguments, PrintStream out, PrintStream err) {
    return Program.run(arguments, USAGE, RunSteps::new, out, err);
  }

  @Override
  public boolean run(PrintStream out) {
    try (Model model = Model.load(folder, options)) {
      Schedule schedule = steps == 0 ? Schedule.of(model.bundle()) : Schedule.steps(steps);
      Map<String, Tensor> start = SeededInputs.of(model.bundle(), sizes, seed);
      out.println(model.bundle() + " on " + model.backend());
      try (Session session = model.newSession(schedule);
          Session dense = model.newSession(Schedule.dense(session.timetable().steps()))) {
        Roles roles = Roles.of(model.bundle());
        double[] sigmas = Sigmas.of(session.timetable().steps(), 1);
        compare(
            session,
            new Trajectory(session, sigmas, roles, start),
            new Trajectory(dense, sigmas, roles, start),
            out);
      }
    }
    return true;
  }

  private void compare(Session session, Trajectory sparse, Trajectory dense, PrintStream out) {
    out.printf(
        "%4s  %-20s %10s %10s  %10s %10s   %s%n",
        "step", "action", "ms", "dense ms", "mean", "std", "to dense: relative L1, PSNR");
    double sparseTotal = 0;
    double denseTotal = 0;
    for (int step = 0; step < session.timetable().steps(); step++) {
      dense.evaluate(step);
      if (sameInputs) {
        sparse.follow(dense);
      }
      sparse.evaluate(step);
      sparseTotal += sparse.milliseconds();
      denseTotal += dense.milliseconds();
      double[] moments = moments(sparse.output());
      out.printf(
          "%4d  %-20s %10.1f %10.1f  %10.4f %10.4f   %s%n",
          step,
          session.timetable().describe(step),
          sparse.milliseconds(),
          dense.milliseconds(),
          moments[0],
          moments[1],
          Difference.of(sparse.output(), dense.output()));
      dense.advance(step);
      sparse.advance(step);
    }
    out.printf("%4s  %-20s %10.1f %10.1f%n", "", "all steps", sparseTotal, denseTotal);
  }

  /** Mean and standard deviation. */
  private static double[] moments(Tensor tensor) {
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < tensor.elementCount(); i++) {
      double element = tensor.get(i);
      sum += element;
      squares += element * element;
    }
    double mean = sum / tensor.elementCount();
    return new double[] {mean, Math.sqrt(squares / tensor.elementCount() - mean * mean)};
  }
}
