package io.sparsedit.examples;

import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Schedule;
import java.io.IOException;
import java.io.PrintStream;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;

/**
 * Serves denoising runs of a bundle over HTTP until it is stopped: a model that is loaded once, and
 * a session for each request that runs at a time.
 */
public final class ServeDenoising implements Program {
  private static final String USAGE =
      """
      usage: ServeDenoising BUNDLE [options]
        --port N          where to listen (default 8080; 0: any free port)
        --host NAME       on which address (default localhost)
        --sessions N      requests that run at a time; the others wait (default 1)
        --steps N         denoising steps (default: the bundle's)
        --shift S         shift of the noise levels (default 3)
        --graphs          record TensorRT's steps as CUDA graphs
        --dim NAME=SIZE   size of a symbolic dimension of the inputs; repeat for more""";

  private static final int MOST_PORTS = 65_535;
  private static final int PORT = 8080;

  private final Path bundle;
  private int port = PORT;
  private String host = "localhost";
  private int sessions = 1;
  private int steps;
  private double shift = 3;
  private Model.Options options = Model.Options.defaults();
  private final Map<String, Long> sizes = new HashMap<>();

  private ServeDenoising(Arguments arguments) {
    this.bundle = Path.of(arguments.next("BUNDLE"));
    while (!arguments.isEmpty()) {
      String option = arguments.next("an option");
      switch (option) {
        case "--port" -> port = (int) arguments.nextNumber(option, 0, MOST_PORTS);
        case "--host" -> host = arguments.next(option);
        case "--sessions" -> sessions = arguments.nextCount(option);
        case "--steps" -> steps = arguments.nextCount(option);
        case "--shift" -> shift = arguments.nextNumber(option, .01, 100);
        case "--graphs" -> options = options.withCudaGraphs(true);
        case "--dim" -> arguments.nextSize(option, sizes);
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
    return Program.run(arguments, USAGE, ServeDenoising::new, out, err);
  }

  @Override
  public boolean run(PrintStream out) throws IOException {
    CountDownLatch stopped = new CountDownLatch(1);
    CountDownLatch closed = new CountDownLatch(1);
    // SIGTERM and Ctrl-C: requests that run are answered, and the model is closed.
    Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(stopped, closed), "stop"));
    try {
      serve(stopped, out);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      closed.countDown();
    }
    return true;
  }

  private void serve(CountDownLatch stopped, PrintStream out)
      throws IOException, InterruptedException {
    try (Model model = Model.load(bundle, options)) {
      Schedule schedule = steps == 0 ? Schedule.of(model.bundle()) : Schedule.steps(steps);
      try (DenoisingServer server =
          DenoisingServer.start(
              model,
              new DenoisingServer.Settings(sessions, schedule, shift, sizes),
              new InetSocketAddress(host, port))) {
        out.println(model.bundle() + " on " + model.backend());
        out.println(
            "POST http://" + host + ":" + server.port() + "/denoise?seed=N, GET /health; Ctrl-C");
        stopped.await();
      }
    }
  }

  private static void stop(CountDownLatch stopped, CountDownLatch closed) {
    stopped.countDown();
    try {
      closed.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
