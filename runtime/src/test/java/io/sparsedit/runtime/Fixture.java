package io.sparsedit.runtime;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;

/** The bundle in src/test/resources/fixture, and copies of it with something changed. */
final class Fixture {
  private Fixture() {}

  static Path folder() {
    try {
      return Path.of(Fixture.class.getResource("/fixture").toURI());
    } catch (URISyntaxException e) {
      throw new AssertionError(e);
    }
  }

  static Path copyTo(Path target) throws IOException {
    try (Stream<Path> files = Files.walk(folder())) {
      for (Path file : files.toList()) {
        Path copy = target.resolve(folder().relativize(file).toString());
        if (Files.isDirectory(file)) {
          Files.createDirectories(copy);
        } else {
          Files.copy(file, copy);
        }
      }
    }
    return target;
  }

  /** A copy whose bundle.json has {@code what} replaced wherever it occurs; it must occur. */
  static Path copyTo(Path target, String what, String by) throws IOException {
    copyTo(target);
    Path description = target.resolve("bundle.json");
    String text = Files.readString(description);
    String changed = text.replace(what, by);
    if (text.equals(changed)) {
      throw new AssertionError("bundle.json does not contain " + what);
    }
    Files.writeString(description, changed);
    return target;
  }

  /** Small whole numbers that differ from step to step and from {@code seed} to {@code seed}. */
  static Map<String, Tensor> inputs(int seed, int step, int batch) {
    float[] x = new float[4 * batch];
    for (int i = 0; i < x.length; i++) {
      x[i] = (seed * 31 + step * 7 + i * 3) % 19 - 9;
    }
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    inputs.put("x", Tensor.ofFloats(new long[] {batch, 4}, x));
    inputs.put("scale", Tensor.ofFloats(new long[0], step + 1));
    return inputs;
  }

  static Tensor named(Map<String, Tensor> tensors, String name) {
    return Objects.requireNonNull(tensors.get(name), name);
  }

  /** What the model of the fixture computes, in Java; see the resources' README. */
  static final class Expected {
    private final float[][] acc = new float[2][];
    private final int[] keep = new int[2];

    float[] step(List<Action> actions, Map<String, Tensor> inputs) {
      float[] x = named(inputs, "x").toFloats();
      float scale = (float) named(inputs, "scale").get(0);
      float[] y = new float[x.length];
      for (int i = 0; i < x.length; i++) {
        y[i] = x[i] * scale + i % 4 + 1;
      }
      for (int site = 0; site < 2; site++) {
        Action action = actions.get(site);
        if (acc[site] == null || action.isCold()) {
          acc[site] = new float[x.length];
          keep[site] = 0;
        }
        if (action.plans()) {
          keep[site]++;
        }
        for (int i = 0; i < x.length; i++) {
          if (action.plans()) {
            acc[site][i] += x[i];
          }
          if (action.isSparse()) {
            y[i] += (site + 1) * (acc[site][i] + 100 * keep[site]);
          }
        }
      }
      return y;
    }

    float[] acc(int site) {
      return acc[site].clone();
    }

    int keep(int site) {
      return keep[site];
    }
  }
}
