package io.sparsedit.passes.verify;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.ort.OrtRunner;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Dense attention by its formula, softmax(scale · q kᵀ + key_bias) v, in float32: what site errors
 * are measured against. One head at a time, so that memory stays at S x S of one head.
 */
final class DenseReference implements AutoCloseable {
  private static final long OPSET = 17;
  private static final long IR_VERSION = 8;

  private final OrtRunner runner;

  DenseReference() {
    runner = OrtRunner.load(model());
  }

  private static Model model() {
    Graph graph = Graph.create("dense_attention");
    Value q = input(graph, "q");
    Value k = input(graph, "k");
    Value v = input(graph, "v");
    Value scale =
        graph.addInput("scale", new ValueType.TensorType(DataType.FLOAT, Optional.of(List.of())));
    Value bias =
        graph.addInput(
            "bias",
            new ValueType.TensorType(
                DataType.FLOAT, Optional.of(List.of(new DeclaredDim.Unknown()))));
    Node transpose = graph.addNode("", "Transpose", "", List.of(k));
    transpose.setAttribute("perm", new Attribute.IntList(List.of(1L, 0L)));
    Value keyColumns = transpose.addOutput("k_columns");
    Value scores = graph.append("MatMul", graph.append("Mul", q, scale), keyColumns);
    Value biased = graph.append("Add", scores, bias);
    Value output = graph.append("MatMul", graph.append("Softmax", biased), v);
    output.setType(matrix());
    graph.addOutput(output);
    Model model = new Model(graph, IR_VERSION);
    model.opsets().put("", OPSET);
    return model;
  }

  private static Value input(Graph graph, String name) {
    return graph.addInput(name, matrix());
  }

  private static ValueType matrix() {
    return new ValueType.TensorType(
        DataType.FLOAT, Optional.of(List.of(new DeclaredDim.Unknown(), new DeclaredDim.Unknown())));
  }

  /** The attention of all heads of a site, [B,H,Sq,D] in order. */
  double[] attend(SiteInputs inputs, SparseSite site) {
    return attend(inputs.query(), inputs.key(), inputs.value(), site.scale(), inputs.keyBias());
  }

  /**
   * The attention of all heads.
   *
   * @param q [B,H,Sq,D]
   * @param k [B,H,Sk,D]
   * @param v [B,H,Sk,D]
   * @param scale factor on q·k
   * @param keyBias [B,1,1,Sk], or empty for none
   * @return [B,H,Sq,D] in order
   */
  double[] attend(Tensor q, Tensor k, Tensor v, double scale, Optional<Tensor> keyBias) {
    int heads = Math.toIntExact(q.dims()[0] * q.dims()[1]);
    double[] out = new double[Math.toIntExact(q.elementCount())];
    double[] queries = q.doubles().orElseThrow();
    double[] keys = k.doubles().orElseThrow();
    double[] values = v.doubles().orElseThrow();
    int keyTokens = Math.toIntExact(k.dims()[2]);
    int headsOfBatch = Math.toIntExact(q.dims()[1]);
    float[] biases = new float[Math.toIntExact(q.dims()[0]) * keyTokens];
    keyBias.ifPresent(bias -> bias.bytes().orElseThrow().asFloatBuffer().get(biases));
    int written = 0;
    for (int head = 0; head < heads; head++) {
      int start = head / headsOfBatch * keyTokens;
      float[] bias = Arrays.copyOfRange(biases, start, start + keyTokens);
      Map<String, Tensor> result =
          runner.run(
              Map.of(
                  "q", head(queries, q, head),
                  "k", head(keys, k, head),
                  "v", head(values, v, head),
                  "scale", Tensor.scalar((float) scale),
                  "bias", Tensor.ofFloats(new long[] {keyTokens}, bias)));
      double[] rows = new ArrayList<>(result.values()).get(0).doubles().orElseThrow();
      System.arraycopy(rows, 0, out, written, rows.length);
      written += rows.length;
    }
    return out;
  }

  private static Tensor head(double[] elements, Tensor tensor, int head) {
    long[] dims = tensor.dims();
    int size = Math.toIntExact(dims[2] * dims[3]);
    ByteBuffer bytes = ByteBuffer.allocateDirect(4 * size).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < size; i++) {
      bytes.putFloat((float) elements[head * size + i]);
    }
    return Tensor.raw(DataType.FLOAT, new long[] {dims[2], dims[3]}, bytes.flip());
  }

  @Override
  public void close() {
    runner.close();
  }
}
