package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.HalfFloat;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.passes.RecognisedModel;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;

/**
 * What stands in front of Q and K of all sites of a model, cut out and run in ONNX Runtime, as it
 * came and replaced by {@code QkNormRope}, on the same random projections.
 */
final class CutOut {
  /**
   * Q or K of a site.
   *
   * @param what which of the two, and of which site
   * @param before as the exporter's nodes compute it
   * @param after as the function computes it
   */
  record Pair(String what, Tensor before, Tensor after) {
    /** Largest difference over the larger of 1 and the largest element. */
    double error() {
      double[] a = before.doubles().orElseThrow();
      double[] b = after.doubles().orElseThrow();
      if (!Arrays.equals(before.dims(), after.dims())) {
        throw new AssertionError(
            Arrays.toString(before.dims()) + " became " + Arrays.toString(after.dims()));
      }
      double difference = 0;
      double largest = 1;
      for (int i = 0; i < a.length; i++) {
        if (!(Math.abs(a[i] - b[i]) <= difference)) {
          difference = Math.abs(a[i] - b[i]);
        }
        largest = Math.max(largest, Math.abs(a[i]));
      }
      return difference / largest;
    }
  }

  private final RecognisedModel recognised;
  private final QkAnalysis analysis;
  private final Map<String, Long> sizes;
  private final Random random = new Random(4);
  private final List<Integer> prepared = new ArrayList<>();
  private final List<Integer> replaced = new ArrayList<>();

  /**
   * A cut-out of a model, which is changed.
   *
   * @param sizes the symbolic sizes of the run
   */
  CutOut(Model model, Map<String, Long> sizes) {
    this.recognised = RecognisedModel.of(model);
    this.analysis = recognised.analysis();
    this.sizes = sizes;
  }

  /** The sites that have a norm or a rotary embedding in front of Q or K. */
  List<Integer> preparedSites() {
    return prepared;
  }

  /** The sites that were replaced. */
  List<Integer> replacedSites() {
    return replaced;
  }

  /** What stands in front of Q and K of a site, as found before anything is replaced. */
  QkPreparation preparation(int site) {
    Node attention = recognised.attention().get(site);
    return analysis.of(
        attention.requiredInput(0), attention.requiredInput(1), recognised.content(site));
  }

  /** Replaces, cuts out and runs. */
  List<Pair> run() {
    List<Node> attention = recognised.attention();
    List<Set<Value>> content = new ArrayList<>();
    for (int i = 0; i < attention.size(); i++) {
      content.add(recognised.content(i));
      if (preparation(i).isSomething()) {
        prepared.add(i);
      }
    }
    QkFusion fusion = new QkFusion(recognised.model(), recognised.facts(), analysis);
    List<Comparison> comparisons = new ArrayList<>();
    for (int i = 0; i < attention.size(); i++) {
      Node node = attention.get(i);
      List<Value> before = node.presentInputs().subList(0, 2);
      List<Set<Value>> sources = new ArrayList<>();
      for (Value value : before) {
        sources.add(sources(value, content.get(i)));
      }
      if (fusion.fuse(node, i, "site" + i, content.get(i), recognised.sizes(i))) {
        replaced.add(i);
      }
      for (int t = 0; t < 2; t++) {
        Value after = node.requiredInput(t);
        if (before.get(t) != after) {
          String what = (t == 0 ? "q" : "k") + " of site " + i;
          comparisons.add(new Comparison(what, before.get(t), after, sources.get(t)));
        }
      }
    }
    return comparisons.isEmpty() ? List.of() : run(comparisons);
  }

  private record Comparison(String what, Value before, Value after, Set<Value> sources) {}

  /** Projections, as far as Q or K are made of them. */
  private Set<Value> sources(Value value, Set<Value> content) {
    Set<Value> sources = new LinkedHashSet<>();
    HeadView view = analysis.finder().view(value).orElseThrow();
    for (FoundPart part : analysis.finder().find(view, content)) {
      sources.add(part.norm().map(NormMatch::input).orElse(part.source().value()));
    }
    return sources;
  }

  private List<Pair> run(List<Comparison> comparisons) {
    Graph graph = recognised.model().graph();
    List<Value> outputs = new ArrayList<>();
    Set<Value> sources = new LinkedHashSet<>();
    for (Comparison comparison : comparisons) {
      DataType type = recognised.facts().elementType(comparison.before());
      for (Value value : List.of(comparison.before(), comparison.after())) {
        Value output = graph.append("Identity", value);
        output.setType(new ValueType.TensorType(type, Optional.empty()));
        outputs.add(output);
      }
      sources.addAll(comparison.sources());
    }
    Map<String, Tensor> inputs = cut(sources);
    replaceOutputs(outputs);
    graph.removeDeadNodes();
    GraphVerifier.require(recognised.model());
    for (Value input : graph.inputs()) {
      if (!inputs.containsKey(input.name())) {
        inputs.put(input.name(), random(input));
      }
    }
    List<Pair> pairs = new ArrayList<>();
    try (OrtRunner runner = OrtRunner.load(recognised.model())) {
      inputs.keySet().retainAll(runner.inputNames());
      Map<String, Tensor> results = runner.run(inputs);
      for (int i = 0; i < comparisons.size(); i++) {
        Tensor before = result(results, outputs.get(2 * i));
        Tensor after = result(results, outputs.get(2 * i + 1));
        pairs.add(new Pair(comparisons.get(i).what(), before, after));
      }
    }
    return pairs;
  }

  private static Tensor result(Map<String, Tensor> results, Value output) {
    return Optional.ofNullable(results.get(output.name())).orElseThrow();
  }

  /** Makes projections inputs of the graph. */
  private Map<String, Tensor> cut(Set<Value> sources) {
    Graph graph = recognised.model().graph();
    Map<Value, List<Dim>> shapes = new LinkedHashMap<>();
    sources.forEach(s -> shapes.put(s, recognised.facts().shape(s).orElseThrow()));
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    shapes.forEach(
        (source, shape) -> {
          DataType type = recognised.facts().elementType(source);
          long[] dims = dims(shape);
          Value input = graph.addInput(graph.freshName("cut"), ValueType.TensorType.of(type, dims));
          source.replaceAllUsesWith(input);
          inputs.put(input.name(), random(type, dims));
        });
    return inputs;
  }

  private void replaceOutputs(List<Value> outputs) {
    Graph graph = recognised.model().graph();
    int old = graph.outputs().size();
    for (int i = 0; i < Math.max(old, outputs.size()); i++) {
      // There may be more old outputs than new ones: the rest repeat the first.
      Value output = i < outputs.size() ? outputs.get(i) : graph.append("Identity", outputs.get(0));
      outputs.get(0).type().filter(type -> output.type().isEmpty()).ifPresent(output::setType);
      if (i < old) {
        graph.setOutput(i, output);
      } else {
        graph.addOutput(output);
      }
    }
  }

  private long[] dims(List<Dim> shape) {
    return shape.stream().mapToLong(d -> d.evaluate(sizes).orElseThrow()).toArray();
  }

  private Tensor random(Value input) {
    ValueType.TensorType type = (ValueType.TensorType) input.type().orElseThrow();
    long[] dims =
        type.dims().orElseThrow().stream()
            .mapToLong(
                dim ->
                    dim instanceof DeclaredDim.Fixed fixed
                        ? fixed.size()
                        : Dim.parse(((DeclaredDim.Named) dim).name()).evaluate(sizes).orElseThrow())
            .toArray();
    return random(type.elementType(), dims);
  }

  private Tensor random(DataType type, long[] dims) {
    int count = (int) Tensor.elementCount(dims);
    float[] floats = new float[count];
    for (int i = 0; i < count; i++) {
      floats[i] = (float) random.nextGaussian();
    }
    return switch (type) {
      case FLOAT -> Tensor.ofFloats(dims, floats);
      case FLOAT16 -> {
        ByteBuffer bytes = ByteBuffer.allocate(2 * count).order(ByteOrder.LITTLE_ENDIAN);
        for (float number : floats) {
          bytes.putShort(HalfFloat.fromFloat(number));
        }
        yield Tensor.raw(DataType.FLOAT16, dims, bytes.flip());
      }
      case INT64 -> Tensor.ofLongs(dims, new long[count]);
      case INT32 -> Tensor.ofInts(dims, new int[count]);
      default -> throw new IllegalArgumentException("inputs of type " + type);
    };
  }
}
