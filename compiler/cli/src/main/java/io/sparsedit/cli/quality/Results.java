package io.sparsedit.cli.quality;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * {@code quality.json}: what was measured so far, rewritten after every run, so that a sweep that
 * was stopped goes on where it was.
 */
final class Results {
  static final String FILE = "quality.json";

  private static final String SAMPLES = "samples";

  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path file;
  private final ObjectNode setup;
  private final List<Measurement> floor = new ArrayList<>();
  private final Map<Key, List<Measurement>> runs = new LinkedHashMap<>();

  /** A setting of a series. */
  record Key(String series, String settings) {}

  private Results(Path file, ObjectNode setup) {
    this.file = file;
    this.setup = setup;
  }

  /**
   * Results of an earlier sweep in the folder, or none yet.
   *
   * @param setup what they depend on
   * @param fresh whether earlier ones are forgotten
   * @throws SparsifyException if earlier ones were measured otherwise
   */
  static Results open(Path folder, ObjectNode setup, boolean fresh) {
    Results results = new Results(folder.resolve(FILE), setup);
    if (!fresh && Files.isRegularFile(results.file)) {
      results.read(results.file, "Choose another output folder, or say --fresh to measure anew.");
    }
    return results;
  }

  /**
   * Takes over what a sweep into another folder measured; what is known already stays.
   *
   * @throws SparsifyException if there is nothing, or it was measured otherwise
   */
  void addAll(Path folder) {
    Path other = folder.resolve(FILE);
    if (!Files.isRegularFile(other)) {
      throw SparsifyException.failure("there is no " + other + " to add");
    }
    read(other, "Only sweeps of one model with the same options can be put together.");
    write();
  }

  private void read(Path from, String remedy) {
    JsonNode root;
    try {
      root = JSON.readTree(from.toFile());
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE, from + " is damaged, or no JSON. " + remedy, e);
    }
    if (!conditions(root.path("setup")).equals(conditions(setup))) {
      throw SparsifyException.failure(
          from
              + " holds what was measured of another model or with other options ("
              + root.path("setup")
              + "). "
              + remedy);
    }
    for (JsonNode run : root.path("floor")) {
      if (floor(run.path("sample").asText()).isEmpty()) {
        floor.add(Measurement.fromJson(run));
      }
    }
    for (JsonNode candidate : root.path("candidates")) {
      Key key = new Key(candidate.path("series").asText(), candidate.path("settings").asText());
      for (JsonNode run : candidate.path("runs")) {
        if (run(key, run.path("sample").asText()).isEmpty()) {
          runsOf(key).add(Measurement.fromJson(run));
        }
      }
    }
  }

  /** What runs depend on: the setup but for the samples, which each run names for itself. */
  private static JsonNode conditions(JsonNode setup) {
    JsonNode conditions = setup.deepCopy();
    if (conditions instanceof ObjectNode object) {
      object.remove(SAMPLES);
    }
    return conditions;
  }

  private List<Measurement> runsOf(Key key) {
    return runs.computeIfAbsent(key, any -> new ArrayList<>());
  }

  /** What was measured of a sample. */
  Optional<Measurement> run(Key key, String sample) {
    return find(runs.getOrDefault(key, List.of()), sample);
  }

  /** What rounding to half precision does to a sample. */
  Optional<Measurement> floor(String sample) {
    return find(floor, sample);
  }

  private static Optional<Measurement> find(List<Measurement> list, String sample) {
    return list.stream().filter(run -> run.sample().equals(sample)).findFirst();
  }

  void add(Key key, Measurement run) {
    runsOf(key).add(run);
    write();
  }

  void addFloor(Measurement run) {
    floor.add(run);
    write();
  }

  /** The whole file, or the candidates of this sweep where {@code keys} names them. */
  ObjectNode toJson() {
    ObjectNode root = JSON.createObjectNode();
    root.put("schemaVersion", 1);
    root.set("setup", setup());
    ArrayNode floors = root.putArray("floor");
    floor.forEach(run -> floors.add(run.toJson()));
    ArrayNode candidates = root.putArray("candidates");
    runs.forEach(
        (key, measured) -> {
          ObjectNode node = candidates.addObject();
          node.put("series", key.series());
          node.put("settings", key.settings());
          Mean mean = Mean.of(measured);
          ObjectNode means = node.putObject("mean");
          Measurement.putNumber(means, "psnr", mean.psnr());
          Measurement.putNumber(means, "psnrError", mean.psnrError());
          Measurement.putNumber(means, "ssim", mean.ssim());
          Measurement.putNumber(means, "relativeL1", mean.relativeL1());
          Measurement.putNumber(means, "density", mean.density());
          Measurement.putNumber(means, "totalDensity", mean.totalDensity());
          Measurement.putNumber(means, "recall", mean.recall());
          Measurement.putNumber(means, "seconds", mean.seconds());
          ArrayNode list = node.putArray("runs");
          measured.forEach(run -> list.add(run.toJson()));
        });
    return root;
  }

  private void write() {
    String text;
    try {
      text = JSON.writerWithDefaultPrettyPrinter().writeValueAsString(toJson()) + "\n";
    } catch (IOException e) {
      throw new IllegalStateException("a tree of JSON nodes is JSON", e);
    }
    AtomicFile.write(file, out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
  }

  /** These settings alone, in this order, as far as they were measured. */
  Results only(List<Key> keys) {
    Results some = new Results(file, setup);
    some.floor.addAll(floor);
    for (Key key : keys) {
      if (runs.containsKey(key)) {
        some.runs.put(key, runsOf(key));
      }
    }
    return some;
  }

  /** All series with the means of their settings, in the order of measurement. */
  List<Curve> curves() {
    Map<String, List<Curve.Point>> points = new LinkedHashMap<>();
    runs.forEach(
        (key, measured) ->
            points
                .computeIfAbsent(key.series(), any -> new ArrayList<>())
                .add(new Curve.Point(key.settings(), measured, Mean.of(measured))));
    return points.entrySet().stream()
        .map(entry -> new Curve(entry.getKey(), entry.getValue()))
        .toList();
  }

  /** What half precision alone does; empty if that was not measured. */
  Optional<Mean> floorMean() {
    return floor.isEmpty() ? Optional.empty() : Optional.of(Mean.of(floor));
  }

  /** How was sampled: the sweep's own samples, then those of earlier or other sweeps. */
  ObjectNode setup() {
    Set<String> samples = new LinkedHashSet<>();
    setup.path(SAMPLES).forEach(sample -> samples.add(sample.asText()));
    floor.forEach(run -> samples.add(run.sample()));
    runs.values().forEach(list -> list.forEach(run -> samples.add(run.sample())));
    ObjectNode all = setup.deepCopy();
    samples.forEach(all.putArray(SAMPLES)::add);
    return all;
  }
}
