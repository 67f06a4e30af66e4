package io.sparsedit.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Schedule;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

final class DenoisingServerTest {
  /** The runtime's test bundle; its model is described beside it. */
  private static final Path FIXTURE = Path.of("../runtime/src/test/resources/fixture");

  private final HttpClient client = HttpClient.newHttpClient();
  private final Model model = Model.load(FIXTURE, Model.Options.defaults().withThreads(1));
  private DenoisingServer server;

  @BeforeEach
  void start() throws IOException {
    server =
        DenoisingServer.start(
            model,
            new DenoisingServer.Settings(2, Schedule.steps(4), 3, Map.of("batch", 2L)),
            new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
  }

  @AfterEach
  void stop() {
    server.close();
    model.close();
  }

  private HttpRequest.Builder request(String path) {
    return HttpRequest.newBuilder(URI.create("http://localhost:" + server.port() + path));
  }

  private HttpResponse<byte[]> post(String path, String body)
      throws IOException, InterruptedException {
    return client.send(
        request(path).POST(BodyPublishers.ofString(body)).build(), BodyHandlers.ofByteArray());
  }

  private static String text(HttpResponse<byte[]> answer) {
    return new String(answer.body(), StandardCharsets.UTF_8).strip();
  }

  @Test
  void aRunGivesTheLatents() throws Exception {
    HttpResponse<byte[]> answer = post("/denoise?seed=1", "");
    assertThat(answer.statusCode()).isEqualTo(200);
    String dims = answer.headers().firstValue("X-Dims").orElseThrow();
    int elements =
        List.of(dims.split("x")).stream().mapToInt(Integer::parseInt).reduce(1, (a, b) -> a * b);
    assertThat(dims).startsWith("2x");
    assertThat(answer.headers().firstValue("X-Type")).hasValue("f32");
    assertThat(answer.body()).hasSize(4 * elements);
    assertThat(post("/denoise?seed=1", "").body()).isEqualTo(answer.body());
    assertThat(post("/denoise?seed=2", "").body()).isNotEqualTo(answer.body());
  }

  @Test
  void requestsAtATimeDoNotAffectEachOther() throws Exception {
    byte[] alone = post("/denoise?seed=5", "").body();
    List<CompletableFuture<HttpResponse<byte[]>>> answers =
        IntStream.range(0, 6)
            .mapToObj(
                i ->
                    client.sendAsync(
                        request("/denoise?seed=" + (i % 2 == 0 ? 5 : 6))
                            .POST(BodyPublishers.noBody())
                            .build(),
                        BodyHandlers.ofByteArray()))
            .toList();
    for (int i = 0; i < answers.size(); i += 2) {
      assertThat(answers.get(i).get().body()).isEqualTo(alone);
      assertThat(answers.get(i + 1).get().body()).isNotEqualTo(alone);
    }
  }

  @Test
  void whatIsWrongIsSaid() throws Exception {
    HttpResponse<byte[]> seed = post("/denoise?seed=many", "");
    assertThat(seed.statusCode()).isEqualTo(400);
    assertThat(text(seed)).isEqualTo("a query is seed=N, is seed=many");
    HttpResponse<byte[]> condition = post("/denoise", "# a name\none two");
    assertThat(condition.statusCode()).isEqualTo(400);
    assertThat(text(condition)).contains("holds something else than numbers");
    HttpResponse<byte[]> numbers = post("/denoise", "1 2 3");
    assertThat(numbers.statusCode()).isEqualTo(400);
    assertThat(text(numbers)).contains("encoder_hidden_states");
    assertThat(post("/denoise", "1 ".repeat(1 << 20)).statusCode()).isEqualTo(413);
    HttpResponse<byte[]> get =
        client.send(request("/denoise").GET().build(), BodyHandlers.ofByteArray());
    assertThat(get.statusCode()).isEqualTo(405);
    assertThat(get.headers().firstValue("Allow")).hasValue("POST");
  }

  @Test
  void healthSaysWhatServes() throws Exception {
    post("/denoise", "");
    HttpResponse<byte[]> health =
        client.send(request("/health").GET().build(), BodyHandlers.ofByteArray());
    assertThat(health.statusCode()).isEqualTo(200);
    assertThat(text(health))
        .contains("svg2, 2 sites")
        .contains("ONNX Runtime")
        .endsWith("answered 1");
  }

  @Test
  void healthIsAnsweredWhileMoreRequestsAreOpenThanSessions() throws Exception {
    List<Socket> open = new ArrayList<>();
    try {
      for (int i = 0; i < 8; i++) {
        Socket socket = new Socket(InetAddress.getLoopbackAddress(), server.port());
        open.add(socket);
        // A body that has not come yet.
        socket
            .getOutputStream()
            .write(
                "POST /denoise HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
                    .getBytes(StandardCharsets.UTF_8));
      }
      HttpRequest health = request("/health").timeout(Duration.ofSeconds(20)).GET().build();
      for (int i = 0; i < 8; i++) {
        assertThat(client.send(health, BodyHandlers.ofByteArray()).statusCode()).isEqualTo(200);
      }
    } finally {
      for (Socket socket : open) {
        socket.close();
      }
    }
  }

  @Test
  void aRequestThatRunsIsAnsweredBeforeTheServerStops() throws Exception {
    CompletableFuture<HttpResponse<byte[]>> running =
        client.sendAsync(
            request("/denoise?seed=5").POST(BodyPublishers.noBody()).build(),
            BodyHandlers.ofByteArray());
    byte[] wanted = post("/denoise?seed=5", "").body();
    server.close();
    assertThat(running.get().body()).isEqualTo(wanted);
  }

  @Test
  void wrongUseIsNamed() {
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    PrintStream out = new PrintStream(new ByteArrayOutputStream(), true);
    assertThat(ServeDenoising.run(List.of(), out, new PrintStream(err, true))).isEqualTo(2);
    assertThat(err.toString(StandardCharsets.UTF_8)).startsWith("BUNDLE is missing");
    err.reset();
    List<String> missing = List.of(FIXTURE.toString(), "--port", "0");
    assertThat(ServeDenoising.run(missing, out, new PrintStream(err, true))).isEqualTo(1);
    assertThat(err.toString(StandardCharsets.UTF_8))
        .contains("the model's inputs depend on batch: say --dim batch=SIZE");
  }
}
