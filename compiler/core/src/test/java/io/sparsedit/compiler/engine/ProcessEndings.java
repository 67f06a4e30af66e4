package io.sparsedit.compiler.engine;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;

/**
 * A program in the place of {@link EngineWorker} that ends in one of the ways in which native code
 * can make a process end. The job's plugin library names the way.
 */
final class ProcessEndings {
  private ProcessEndings() {}

  public static void main(String[] arguments) throws Exception {
    EngineJob job = EngineJob.parse(line());
    byte[] model = System.in.readNBytes(job.modelBytes());
    System.out.println("native code prints too");
    tell(EngineAnswer.Kind.STAGE, "process " + ProcessHandle.current().pid());
    tell(EngineAnswer.Kind.DETAIL, "3 of 7");
    tell(EngineAnswer.Kind.WARNING, "two\nlines");
    Files.write(job.engine(), model);
    switch (job.plugins().toString()) {
      case "done" -> tell(EngineAnswer.Kind.LAYERS, new String(model, StandardCharsets.UTF_8));
      case "refused" -> tell(EngineAnswer.Kind.FAILURE, "TensorRT does not take it");
      case "unfit" -> tell(EngineAnswer.Kind.NO_GPU, "no GPU");
      case "waits" -> {
        while (System.in.read() >= 0) {
          // Until nobody waits any more.
        }
      }
      case "exit" -> System.exit(3);
      default -> kill(job.plugins().toString());
    }
  }

  private static void kill(String signal) throws IOException, InterruptedException {
    String self = Long.toString(ProcessHandle.current().pid());
    new ProcessBuilder(List.of("kill", "-" + signal, self)).start().waitFor();
    Thread.sleep(60_000);
  }

  private static String line() throws IOException {
    ByteArrayOutputStream line = new ByteArrayOutputStream();
    for (int next = System.in.read(); next != '\n'; next = System.in.read()) {
      line.write(next);
    }
    return line.toString(StandardCharsets.UTF_8);
  }

  private static void tell(EngineAnswer.Kind kind, String text) {
    System.out.println(new EngineAnswer(kind, text).toLine());
    System.out.flush();
  }
}
