package io.sparsedit.examples;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Schedule;
import io.sparsedit.runtime.Session;
import io.sparsedit.runtime.SparseDitException;
import io.sparsedit.runtime.Tensor;
import io.sparsedit.runtime.sampling.Condition;
import io.sparsedit.runtime.sampling.Roles;
import io.sparsedit.runtime.sampling.SeededInputs;
import io.sparsedit.runtime.sampling.Sigmas;
import io.sparsedit.runtime.sampling.Trajectory;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;

/**
 * Denoising runs over HTTP.
 *
 * <pre>
 *   POST /denoise?seed=N   body: empty, or a {@link Condition} as text
 *                          answer: the latents, little-endian; X-Type, X-Dims, X-Milliseconds
 *   GET /health            answer: what serves, and how many requests it has answered
 * </pre>
 *
 * Sessions are opened once and used again: step 0 starts one anew. As many requests run at a time
 * as there are sessions, and the others wait for one.
 */
final class DenoisingServer implements AutoCloseable {
  private static final int OK = 200;
  private static final int BAD_REQUEST = 400;
  private static final int WRONG_METHOD = 405;
  private static final int TOO_LARGE = 413;
  private static final int FAILED = 500;
  private static final int LARGEST_BODY = 1 << 20;
  private static final int SECONDS_TO_STOP = 30;

  private final Model model;
  private final Settings settings;
  private final HttpServer server;
  private final ExecutorService threads;
  private final BlockingQueue<Session> sessions;
  private final AtomicLong answered = new AtomicLong();

  /**
   * How it serves.
   *
   * @param sessions how many requests run at a time
   * @param schedule the steps of a run
   * @param shift of the noise levels, see {@link Sigmas}
   * @param sizes of symbolic dimensions of the inputs
   */
  record Settings(int sessions, Schedule schedule, double shift, Map<String, Long> sizes) {
    Settings {
      sizes = Map.copyOf(sizes);
    }
  }

  private DenoisingServer(Model model, Settings settings, HttpServer server) {
    this.model = model;
    this.settings = settings;
    this.server = server;
    this.sessions = new ArrayBlockingQueue<>(settings.sessions());
    // A thread for each request that waits for a session, so that health is answered meanwhile.
    this.threads = Executors.newCachedThreadPool();
  }

  /**
   * Opens the sessions, goes through one run's first step, and listens.
   *
   * @throws IOException if the address cannot be had
   * @throws IllegalArgumentException if the model has no latents, or a size is missing
   */
  static DenoisingServer start(Model model, Settings settings, InetSocketAddress address)
      throws IOException {
    DenoisingServer started = new DenoisingServer(model, settings, HttpServer.create(address, 0));
    try {
      Map<String, Tensor> inputs = SeededInputs.of(model.bundle(), settings.sizes(), 0);
      for (int i = 0; i < settings.sessions(); i++) {
        Session session = model.newSession(settings.schedule());
        started.sessions.add(session);
        // What is done once is done now: memory, and what TensorRT loads at its first step.
        session.run(0, 0, inputs, session.newOutputs(inputs));
      }
      started.serve();
    } catch (RuntimeException e) {
      started.close();
      throw e;
    }
    return started;
  }

  private void serve() {
    if (Roles.of(model.bundle()).latents().isEmpty()) {
      throw new IllegalArgumentException("the model has no input shaped as its output");
    }
    server.setExecutor(threads);
    server.createContext("/denoise", exchange -> answer(exchange, "POST", this::denoise));
    server.createContext("/health", exchange -> answer(exchange, "GET", this::health));
    server.start();
  }

  /** Where it listens. */
  int port() {
    return server.getAddress().getPort();
  }

  /** What answers a request. */
  private interface Handler {
    byte[] answer(HttpExchange exchange) throws IOException, InterruptedException;
  }

  private void answer(HttpExchange exchange, String method, Handler handler) throws IOException {
    try (exchange) {
      if (!exchange.getRequestMethod().equals(method)) {
        exchange.getResponseHeaders().set("Allow", method);
        send(exchange, WRONG_METHOD, text("use " + method));
        return;
      }
      try {
        byte[] content = handler.answer(exchange);
        answered.incrementAndGet();
        send(exchange, OK, content);
      } catch (TooLargeException e) {
        send(exchange, TOO_LARGE, text(String.valueOf(e.getMessage())));
      } catch (IllegalArgumentException e) {
        send(exchange, BAD_REQUEST, text(String.valueOf(e.getMessage())));
      } catch (SparseDitException e) {
        send(exchange, FAILED, text(String.valueOf(e.getMessage())));
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private static byte[] text(String line) {
    return (line + "\n").getBytes(StandardCharsets.UTF_8);
  }

  private static void send(HttpExchange exchange, int status, byte[] content) throws IOException {
    exchange.sendResponseHeaders(status, content.length);
    try (OutputStream out = exchange.getResponseBody()) {
      out.write(content);
    }
  }

  private byte[] health(HttpExchange exchange) {
    return text(model.bundle() + " on " + model.backend() + ", answered " + answered.get());
  }

  private byte[] denoise(HttpExchange exchange) throws IOException, InterruptedException {
    Map<String, Tensor> start = SeededInputs.of(model.bundle(), settings.sizes(), seed(exchange));
    byte[] body = exchange.getRequestBody().readNBytes(LARGEST_BODY + 1);
    if (body.length > LARGEST_BODY) {
      // Who is still sending does not read the answer.
      exchange.getRequestBody().transferTo(OutputStream.nullOutputStream());
      throw new TooLargeException("a condition has at most " + LARGEST_BODY + " bytes");
    }
    if (body.length > 0) {
      Condition.parse("of the request", new String(body, StandardCharsets.UTF_8))
          .putInto(start, Condition.INPUT);
    }
    Session session = sessions.take();
    try {
      long begun = System.nanoTime();
      Tensor latents = run(session, start);
      exchange.getResponseHeaders().set("X-Type", latents.type().toString());
      exchange.getResponseHeaders().set("X-Dims", dims(latents));
      exchange
          .getResponseHeaders()
          .set("X-Milliseconds", Long.toString((System.nanoTime() - begun) / 1_000_000));
      exchange.getResponseHeaders().set("Content-Type", "application/octet-stream");
      ByteBuffer bytes = latents.bytes();
      byte[] content = new byte[bytes.remaining()];
      bytes.get(content);
      return content;
    } finally {
      sessions.add(session);
    }
  }

  private Tensor run(Session session, Map<String, Tensor> start) {
    int steps = session.timetable().steps();
    Trajectory run =
        new Trajectory(
            session, Sigmas.of(steps, settings.shift()), Roles.of(model.bundle()), start);
    for (int step = 0; step < steps; step++) {
      run.evaluate(step);
      run.advance(step);
    }
    return run.latents().orElseThrow();
  }

  private static String dims(Tensor tensor) {
    return Arrays.stream(tensor.dims()).mapToObj(Long::toString).collect(Collectors.joining("x"));
  }

  /** The seed that a request asks for, 0 by default. */
  private static long seed(HttpExchange exchange) {
    String query = Optional.ofNullable(exchange.getRequestURI().getQuery()).orElse("");
    if (query.isEmpty()) {
      return 0;
    }
    if (!query.matches("seed=-?\\d{1,18}")) {
      throw new IllegalArgumentException("a query is seed=N, is " + query);
    }
    return Long.parseLong(query.substring(query.indexOf('=') + 1));
  }

  /** A body that is too large. */
  private static final class TooLargeException extends IllegalArgumentException {
    private static final long serialVersionUID = 1L;

    TooLargeException(String message) {
      super(message);
    }
  }

  /** Takes no more requests, answers those that run, and closes the sessions. */
  @Override
  public void close() {
    threads.shutdown();
    try {
      if (!threads.awaitTermination(SECONDS_TO_STOP, TimeUnit.SECONDS)) {
        threads.shutdownNow();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    server.stop(0);
    sessions.forEach(Session::close);
  }
}
