package io.sparsedit.passes.functions;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** One file of {@code testdata/golden}, which {@code make_golden.py} writes. */
final class Golden {
  private static final Path FOLDER =
      Path.of(System.getProperty("basedir", "."), "..", "testdata", "golden");

  private final String name;
  private final Map<String, Tensor> tensors;

  private Golden(String name, Map<String, Tensor> tensors) {
    this.name = name;
    this.tensors = tensors;
  }

  static Golden read(String name) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    try (InputStream file = Files.newInputStream(FOLDER.resolve(name + ".npz"));
        ZipInputStream zip = new ZipInputStream(file)) {
      for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
        tensors.put(entry.getName().replaceFirst("\\.npy$", ""), npy(zip.readAllBytes()));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return new Golden(name, tensors);
  }

  /** A tensor in NumPy's format, version 1: magic, header length, header, elements. */
  private static Tensor npy(byte[] bytes) {
    int headerLength = Byte.toUnsignedInt(bytes[8]) | Byte.toUnsignedInt(bytes[9]) << 8;
    String header = new String(bytes, 10, headerLength, StandardCharsets.US_ASCII);
    String shape = header.replaceFirst("(?s).*'shape': \\(([^)]*)\\).*", "$1");
    long[] dims =
        shape.isBlank()
            ? new long[0]
            : Arrays.stream(shape.split(","))
                .map(String::strip)
                .filter(dim -> !dim.isEmpty())
                .mapToLong(Long::parseLong)
                .toArray();
    DataType type =
        switch (header.replaceFirst("(?s).*'descr': '([^']*)'.*", "$1")) {
          case "<f4" -> DataType.FLOAT;
          case "<f8" -> DataType.DOUBLE;
          case "<i4" -> DataType.INT32;
          default -> throw new IllegalArgumentException(header);
        };
    int start = 10 + headerLength;
    return Tensor.raw(type, dims, ByteBuffer.wrap(bytes, start, bytes.length - start));
  }

  Tensor tensor(String tensor) {
    return Optional.ofNullable(tensors.get(tensor))
        .orElseThrow(() -> new IllegalArgumentException(name + " has no " + tensor));
  }

  boolean has(String tensor) {
    return tensors.containsKey(tensor);
  }

  /** Q or K at a step: the first axis of the stored tensor is the step. */
  Tensor atStep(String tensor, int step) {
    return TestTensors.index(tensor(tensor), step);
  }

  int steps() {
    return (int) tensor(SparseOps.Q).dims()[0];
  }

  double setting(String setting) {
    return tensor("setting." + setting).doubles().orElseThrow()[0];
  }

  /** The planner's call of an SVG2 case. */
  Svg2Plan svg2(Layout layout, boolean planState) {
    return new Svg2Plan(
        0,
        layout,
        (float) setting("scale"),
        (int) setting(Svg2Plan.Q_CLUSTERS),
        (int) setting(Svg2Plan.K_CLUSTERS),
        selection(),
        (float) setting(Svg2Plan.MIN_KEPT),
        (int) setting(Svg2Plan.ITERATIONS),
        (int) setting(Svg2Plan.INIT_ITERATIONS),
        textPosition(),
        planState);
  }

  private Selection selection() {
    if (!has("setting." + Svg2Plan.DENSITY)) {
      return new Selection.TopP((float) setting(Svg2Plan.TOP_P));
    }
    return new Selection.Budget(
        (float) setting(Svg2Plan.DENSITY),
        setting(Svg2Plan.RANKING) == 0 ? Selection.Ranking.MASS : Selection.Ranking.MASS_PER_TOKEN);
  }

  /** The planner's call of an AdaSpa case. */
  AdaSpaPlan adaSpa(Layout layout, boolean planState) {
    return new AdaSpaPlan(
        0,
        layout,
        (float) setting("scale"),
        (int) setting(AdaSpaPlan.BLOCK_SIZE),
        (float) setting(AdaSpaPlan.DENSITY),
        (float) setting(AdaSpaPlan.RECALL_THRESHOLD),
        textPosition(),
        has(SparseOps.KEY_BIAS),
        planState);
  }

  /** The planner's call of an SVG case. */
  SvgPlan svg(Layout layout, boolean planState) {
    return new SvgPlan(
        0,
        layout,
        (float) setting("scale"),
        (int) setting(SvgPlan.BLOCK_SIZE),
        (float) setting(SvgPlan.DENSITY),
        setting(SvgPlan.BUDGET) == 1,
        (int) setting(SvgPlan.SAMPLED_ROWS),
        (float) setting(SvgPlan.PROFILE_FRAMES),
        frameSink(),
        textPosition(),
        has(SparseOps.KEY_BIAS),
        planState);
  }

  private FrameSink frameSink() {
    return switch ((int) setting("sink")) {
      case 1 -> FrameSink.PUBLISHED;
      case 2 -> FrameSink.CORRECTED;
      default -> FrameSink.NONE;
    };
  }

  private TextPosition textPosition() {
    return switch ((int) setting("position")) {
      case 1 -> TextPosition.FIRST;
      case 2 -> TextPosition.LAST;
      default -> TextPosition.NONE;
    };
  }

  /** The plan is the golden one, shapes and every element. */
  void assertPlan(OneOp.Outputs outputs) {
    for (String planned : Planner.PLAN) {
      assertThat(outputs.get(planned).dims()).as(planned).isEqualTo(tensor(planned).dims());
      assertThat(TestTensors.ints(outputs.get(planned)))
          .as(planned)
          .containsExactly(TestTensors.ints(tensor(planned)));
    }
  }

  /**
   * The attention by a plan on the tokens of a step.
   *
   * @param plan a tensor of the plan by name
   */
  Tensor attend(Layout layout, int step, Function<String, Tensor> plan, ActionCode action) {
    boolean biased = has(SparseOps.KEY_BIAS);
    BlockSparseAttention call =
        new BlockSparseAttention(0, layout, (float) setting("scale"), biased, false);
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    inputs.put(SparseOps.Q, TestTensors.inLayout(layout, atStep(SparseOps.Q, step)));
    inputs.put(SparseOps.K, TestTensors.inLayout(layout, atStep(SparseOps.K, step)));
    inputs.put(SparseOps.V, TestTensors.inLayout(layout, tensor(SparseOps.V)));
    Planner.PLAN.forEach(planned -> inputs.put(planned, plan.apply(planned)));
    if (biased) {
      inputs.put(SparseOps.KEY_BIAS, tensor(SparseOps.KEY_BIAS));
    }
    inputs.put(SparseOps.ACTION, TestTensors.action(action.code()));
    try (OneOp op = OneOp.load(call)) {
      return TestTensors.inLayout(layout, op.run(inputs).get(SparseOps.O));
    }
  }

  /** Frames, height and width of the video tokens. */
  Tensor geometry() {
    if (tensors.containsKey("setting.frames")) {
      // Some height and width: only their product counts.
      return Tensor.ofInts(new long[] {3}, (int) setting("frames"), 1, (int) setting("patches"));
    }
    int tokens = (int) tensor("v").dims()[2] - (int) setting("text");
    return Tensor.ofInts(new long[] {3}, 1, 1, tokens);
  }
}
