package io.sparsedit.examples;

import com.fasterxml.jackson.core.JsonEncoding;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Schedule;
import io.sparsedit.runtime.Tensor;
import io.sparsedit.runtime.sampling.Condition;
import io.sparsedit.runtime.sampling.FrameQuality;
import io.sparsedit.runtime.sampling.SeededInputs;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * Makes a video from noise twice, with all sites dense and by the bundle's sparse schedule, and
 * shows how far the two are apart: as animated GIFs, as a picture of frames side by side, and as
 * PSNR and SSIM of each frame.
 */
public final class DenoiseVideo implements Program {
  private static final String USAGE =
      """
      usage: DenoiseVideo BUNDLE [options]
        --steps N          denoising steps (default 20)
        --seed N           seed of the noise (default 0)
        --condition N|FILE what the video shows: 0 to 5, or a file of numbers (default 0)
        --dense-warmup F   fraction of the steps that runs dense first (default: the bundle's)
        --shift S          shift of the noise levels (default 3)
        --threads N        threads (default: all cores)
        --dim NAME=SIZE    size of a symbolic dimension of the inputs; repeat for more
        -o DIR             where dense.gif, sparse.gif, sheet.png and metrics.json go
                           (default out/denoise)""";

  private static final int GIF_SCALE = 8;
  private static final int GAIN = 8;

  private final Path bundle;
  private int steps = 20;
  private long seed;
  private String condition = "0";
  private OptionalDouble denseWarmup = OptionalDouble.empty();
  private double shift = 3;
  private Model.Options options = Model.Options.defaults();
  private final Map<String, Long> sizes = new HashMap<>();
  private Path folder = Path.of("out", "denoise");

  private DenoiseVideo(Arguments arguments) {
    this.bundle = Path.of(arguments.next("BUNDLE"));
    while (!arguments.isEmpty()) {
      String option = arguments.next("an option");
      switch (option) {
        case "--steps" -> steps = arguments.nextCount(option);
        case "--seed" -> seed = arguments.nextLong(option);
        case "--condition" -> condition = arguments.next(option);
        case "--dense-warmup" ->
            denseWarmup = OptionalDouble.of(arguments.nextNumber(option, 0, 1));
        case "--shift" -> shift = arguments.nextNumber(option, .01, 100);
        case "--threads" -> options = options.withThreads(arguments.nextCount(option));
        case "--dim" -> arguments.nextSize(option, sizes);
        case "-o" -> folder = Path.of(arguments.next(option));
        default -> throw new IllegalArgumentException("unknown option " + option);
      }
    }
  }

  /** Runs the program; see {@code examples/README.md}. */
  public static void main(String... arguments) {
    System.setProperty("java.awt.headless", "true");
    System.exit(run(List.of(arguments), System.out, System.err));
  }

  /** Runs the program and returns its exit code: 0, 1 where something fails, 2 for wrong usage. */
  static int run(List<String> arguments, PrintStream out, PrintStream err) {
    return Program.run(arguments, USAGE, DenoiseVideo::new, out, err);
  }

  @Override
  public boolean run(PrintStream out) throws IOException {
    Condition shown = ReadyConditions.load(condition);
    try (Model model = Model.load(bundle, options)) {
      Map<String, Tensor> start = SeededInputs.of(model.bundle(), sizes, seed);
      shown.putInto(start, Condition.INPUT);
      Schedule schedule = Schedule.steps(steps);
      if (denseWarmup.isPresent()) {
        schedule = schedule.withDenseWarmup(denseWarmup.getAsDouble());
      }
      out.println(model.bundle() + " on " + model.backend());
      out.println(line("%s; seed %d, %d steps, shift %s", shown.name(), seed, steps, shift));
      Denoised dense = Denoised.run(model, Schedule.dense(steps), shift, start);
      out.println(line("dense   %6.1f s", dense.seconds()));
      Denoised sparse = Denoised.run(model, schedule, shift, start);
      out.println(line("sparse  %6.1f s, %s", sparse.seconds(), warmup(sparse)));
      List<FrameQuality> frames =
          FrameQuality.ofFrames(sparse.clip().frames(), dense.clip().frames());
      Files.createDirectories(folder);
      AnimatedGif.write(dense.clip(), GIF_SCALE, folder.resolve("dense.gif"));
      AnimatedGif.write(sparse.clip(), GIF_SCALE, folder.resolve("sparse.gif"));
      sheet(model, shown, dense, sparse, frames).write(folder.resolve("sheet.png"));
      writeMetrics(model, shown, dense, sparse, frames);
      print(frames, out);
      out.println("dense.gif, sparse.gif, sheet.png, metrics.json are in " + folder);
    }
    return true;
  }

  private static String warmup(Denoised sparse) {
    return line(
        "of %d steps the first %d dense (warm-up %.0f %%)",
        sparse.steps(), sparse.denseSteps(), 100.0 * sparse.denseSteps() / sparse.steps());
  }

  private static void print(List<FrameQuality> frames, PrintStream out) {
    out.println("frame   PSNR (dB)     SSIM   sparse against dense");
    for (int i = 0; i < frames.size(); i++) {
      out.println(row(Integer.toString(i), frames.get(i)));
    }
    out.println(row("mean", FrameQuality.mean(frames)));
  }

  private static String row(String name, FrameQuality quality) {
    return line("%5s  %10.2f  %7.4f", name, quality.psnr(), quality.ssim());
  }

  private ContactSheet sheet(
      Model model, Condition shown, Denoised dense, Denoised sparse, List<FrameQuality> frames) {
    FrameQuality mean = FrameQuality.mean(frames);
    return new ContactSheet(
        List.of(
            shown.name(),
            line(
                "%s, %d sites, seed %d; %s",
                model.bundle().method(), model.bundle().sites().size(), seed, warmup(sparse))),
        List.of(
            new ContactSheet.Row(dense.clip(), List.of("dense"), List.of()),
            new ContactSheet.Row(
                sparse.clip(),
                List.of(
                    "sparse", line("PSNR %.1f dB", mean.psnr()), line("SSIM %.3f", mean.ssim())),
                frames.stream().map(frame -> line("%.1f dB", frame.psnr())).toList()),
            new ContactSheet.Row(
                sparse.clip().difference(dense.clip(), GAIN),
                List.of("difference", "amplified x" + GAIN),
                List.of())));
  }

  private void writeMetrics(
      Model model, Condition shown, Denoised dense, Denoised sparse, List<FrameQuality> frames)
      throws IOException {
    try (JsonGenerator json =
        new JsonFactory()
            .createGenerator(folder.resolve("metrics.json").toFile(), JsonEncoding.UTF8)
            .useDefaultPrettyPrinter()) {
      json.writeStartObject();
      json.writeStringField("bundle", bundle.toString());
      json.writeStringField("method", model.bundle().method());
      json.writeStringField("backend", model.backend());
      json.writeStringField("condition", shown.name());
      json.writeNumberField("seed", seed);
      json.writeNumberField("steps", steps);
      json.writeNumberField("shift", shift);
      json.writeNumberField("denseSteps", sparse.denseSteps());
      json.writeNumberField("warmupFraction", (double) sparse.denseSteps() / steps);
      json.writeArrayFieldStart("actions");
      for (int step = 0; step < steps; step++) {
        json.writeString(sparse.timetable().describe(step));
      }
      json.writeEndArray();
      writeArray(json, "denseMilliseconds", dense.milliseconds());
      writeArray(json, "sparseMilliseconds", sparse.milliseconds());
      json.writeObjectFieldStart("mean");
      writeFields(json, FrameQuality.mean(frames));
      json.writeEndObject();
      json.writeArrayFieldStart("frames");
      for (FrameQuality frame : frames) {
        json.writeStartObject();
        writeFields(json, frame);
        json.writeEndObject();
      }
      json.writeEndArray();
      json.writeEndObject();
    }
  }

  private static void writeArray(JsonGenerator json, String name, List<Double> values)
      throws IOException {
    json.writeArrayFieldStart(name);
    for (double value : values) {
      json.writeNumber(value);
    }
    json.writeEndArray();
  }

  /** JSON has no infinity: where both frames are equal, the PSNR is {@code null}. */
  private static void writeFields(JsonGenerator json, FrameQuality quality) throws IOException {
    if (Double.isFinite(quality.psnr())) {
      json.writeNumberField("psnr", quality.psnr());
    } else {
      json.writeNullField("psnr");
    }
    json.writeNumberField("ssim", quality.ssim());
  }

  private static String line(String format, Object... arguments) {
    return String.format(Locale.ROOT, format, arguments);
  }
}
