package io.sparsedit.compiler.shape;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.ir.ValueType.TensorType;
import io.sparsedit.compiler.ort.OrtOptions;
import io.sparsedit.compiler.ort.OrtRunner;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Each operator on inputs of symbolic size: what its rule says, with numbers put in for the
 * symbols, is what ONNX Runtime gives for inputs of that size.
 */
final class OperatorShapesTest {
  private static final Map<String, Long> SIZES =
      Map.of("B", 2L, "S", 6L, "T", 3L, "H", 7L, "W", 9L, "N", 4L);

  /** A model of one node in the making. */
  private static final class Case {
    private final Graph graph = Graph.create("case");
    private final Model model = new Model(graph, 10);
    private final Node node;
    private final Map<String, Tensor> inputs = new LinkedHashMap<>();
    private final Random random = new Random(7);

    Case(long opset, String domain, String operator) {
      model.opsets().put("", opset);
      if (!domain.isEmpty()) {
        model.opsets().put(domain, 1L);
      }
      node = graph.addNode(domain, operator, operator, List.of());
    }

    /** An input with random elements; dimensions are numbers or names. */
    Case in(DataType type, Object... dims) {
      List<DeclaredDim> declared = new ArrayList<>();
      long[] sizes = new long[dims.length];
      for (int i = 0; i < dims.length; i++) {
        boolean named = dims[i] instanceof String;
        declared.add(
            named
                ? new DeclaredDim.Named((String) dims[i])
                : new DeclaredDim.Fixed((Integer) dims[i]));
        sizes[i] =
            named
                ? Dim.parse((String) dims[i]).evaluate(SIZES).orElseThrow()
                : ((Integer) dims[i]).longValue();
      }
      String name = "x" + inputs.size();
      node.setInput(
          node.inputCount(), graph.addInput(name, new TensorType(type, Optional.of(declared))));
      int count = (int) Arrays.stream(sizes).reduce(1, (a, b) -> a * b);
      inputs.put(name, tensor(type, sizes, count));
      return this;
    }

    Case in(Object... dims) {
      return in(DataType.FLOAT, dims);
    }

    private Tensor tensor(DataType type, long[] sizes, int count) {
      if (type == DataType.FLOAT) {
        float[] elements = new float[count];
        for (int i = 0; i < count; i++) {
          elements[i] = random.nextFloat();
        }
        return Tensor.ofFloats(sizes, elements);
      }
      if (type == DataType.INT64) {
        return Tensor.ofLongs(sizes, random.longs(count, 0, 2).toArray());
      }
      byte[] elements = new byte[count * type.bits() / 8];
      for (int i = 0; i < elements.length; i++) {
        elements[i] = (byte) random.nextInt(2);
      }
      return Tensor.raw(type, sizes, ByteBuffer.wrap(elements));
    }

    Case constant(Tensor tensor) {
      node.setInput(node.inputCount(), graph.addConstant("c", tensor));
      return this;
    }

    Case longs(long... elements) {
      return constant(Tensor.vector(elements));
    }

    /** The sizes of a fresh input of the given dimensions: an input with symbolic elements. */
    Case sizesOf(Object... dims) {
      Case other = in(dims);
      int last = node.inputCount() - 1;
      Value shape = graph.insertBefore(node, "Shape", node.requiredInput(last));
      node.setInput(last, shape);
      return other;
    }

    Case absent() {
      node.clearInput(node.inputCount());
      return this;
    }

    Case with(String attribute, long... values) {
      node.setAttribute(
          attribute,
          values.length == 1
              ? new Attribute.IntValue(values[0])
              : new Attribute.IntList(Arrays.stream(values).boxed().toList()));
      return this;
    }

    Case list(String attribute, long... values) {
      node.setAttribute(attribute, new Attribute.IntList(Arrays.stream(values).boxed().toList()));
      return this;
    }

    Case with(String attribute, String value) {
      node.setAttribute(attribute, value);
      return this;
    }

    Case outputs(int count) {
      for (int i = 0; i < count; i++) {
        node.addOutput("y" + i);
      }
      return this;
    }

    @Override
    public String toString() {
      return node.opType() + " " + node.attributes() + " " + node.inputCount() + " inputs";
    }
  }

  private static Case op(String operator) {
    return new Case(20, "", operator);
  }

  private static Case op(long opset, String operator) {
    return new Case(opset, "", operator);
  }

  private static Case microsoft(String operator) {
    return new Case(20, "com.microsoft", operator);
  }

  static Stream<Case> cases() {
    DataType i64 = DataType.INT64;
    DataType bool = DataType.BOOL;
    return Stream.of(
        op("Add").in("B", 1, "S").in("T", 1),
        op("Add").in("B", "S").in("B", "S"),
        op("Where").in(bool, "B", 1).in(1, "S").in(1),
        op("Equal").in(i64, "S").in(i64, 1),
        op("IsNaN").in("B", "S"),
        op("Pow").in("S").constant(Tensor.scalar(2)),
        op("Clip").in("S").constant(Tensor.scalar(0f)).absent(),
        op("Max").in("B", 1).in("S").in(1),
        op("Cast").in("S").with("to", 10),
        op("CastLike").in("S").in(i64, "B"),
        op("MatMul").in("B", 1, "S", 8).in(3, 8, "T"),
        op("MatMul").in(8).in("B", 8, "T"),
        op("MatMul").in("B", "S", 8).in(8),
        op("Gemm").in("S", 8).in("T", 8).with("transB", 1),
        op("Einsum").in("B", "S", 2, 8).in("B", "T", 2, 8).with("equation", "bqhd,bkhd->bhqk"),
        op("Einsum").in("B", 3, "S").in("S").with("equation", "...s, s -> ..."),
        op("Einsum").in("S", "T").with("equation", "ba"),
        op("Conv")
            .in("B", 3, "H", "W")
            .in(8, 3, 3, 3)
            .list("strides", 2, 2)
            .list("pads", 1, 0, 1, 2),
        op("Conv").in("B", 3, "N", "H", "W").in(8, 3, 1, 2, 2).list("strides", 1, 2, 2),
        op("Conv").in("B", 4, "S").in(4, 1, 2).list("dilations", 2).with("group", 4),
        op("Conv")
            .in("B", 3, "H", "W")
            .in(8, 3, 3, 3)
            .with("auto_pad", "SAME_UPPER")
            .list("strides", 2, 2),
        op("Conv").in("B", 3, "H", "W").in(8, 3, 3, 3).with("auto_pad", "VALID"),
        op("ConvTranspose")
            .in("B", 3, "H", "W")
            .in(3, 5, 3, 2)
            .list("strides", 2, 2)
            .list("pads", 1, 0, 1, 0),
        op("ConvTranspose")
            .in("B", 3, "S")
            .in(3, 2, 3)
            .list("strides", 2)
            .list("output_padding", 1)
            .with("group", 3),
        op("MaxPool")
            .in("B", 3, "H", "W")
            .list("kernel_shape", 2, 2)
            .list("strides", 2, 2)
            .with("ceil_mode", 1),
        op("MaxPool")
            .in(1, 3, 7, 7)
            .list("kernel_shape", 2, 2)
            .list("strides", 3, 3)
            .list("pads", 1, 1, 1, 1)
            .with("ceil_mode", 1),
        op("MaxPool").in("B", 3, "H", "W").list("kernel_shape", 3, 2).outputs(2),
        op("AveragePool").in("B", 3, "H", "W").list("kernel_shape", 3, 3).list("pads", 1, 1, 1, 1),
        op("GlobalAveragePool").in("B", 3, "H", "W"),
        op("Resize")
            .in("B", 3, "H", "W")
            .absent()
            .constant(floats(1, 1, 2, 0.5f))
            .with("mode", "nearest"),
        op("Resize")
            .in(1, 3, "H", "W")
            .absent()
            .absent()
            .longs(1, 3, 20, 30)
            .with("mode", "linear"),
        op("Resize").in(1, 3, "H", "W").absent().absent().sizesOf("S", "T").list("axes", 2, 3),
        op("Reshape").in("B", "S", 8).longs(0, -1, 2, 4),
        op("Reshape").in("B", "S", 8).longs(-1, 8),
        op("Reshape").in("B", 0, 8).longs(0, 3).with("allowzero", 1),
        op("Reshape").in("B", "S").sizesOf("B*S", 1),
        op("Transpose").in("B", "S", 8).list("perm", 2, 0, 1),
        op("Transpose").in("B", "S", 8),
        op("Squeeze").in(1, "B", 1).longs(0, -1),
        op("Squeeze").in(1, 3, 1),
        op(12, "Squeeze").in(1, "B", 1).list("axes", 0),
        op("Unsqueeze").in("B", "S").longs(-1, 0),
        op(12, "Unsqueeze").in("B", "S").list("axes", 1, 2),
        op("Flatten").in("B", "S", 3).with("axis", 2),
        op("Flatten").in("B", "S", 3).with("axis", -1),
        op("Expand").in("B", 1, 3).longs(2, 1, 4, 1),
        op("Expand").in(1, "T").sizesOf("B", "S", 1),
        op("Tile").in("B", 3).longs(2, 3),
        op("Concat").in("B", "S", 3).in("B", "T", 3).with("axis", -2),
        op("Split").in("B", 7).longs(3, 4).with("axis", 1).outputs(2),
        op(12, "Split").in("B", 7).list("split", 1, 6).with("axis", 1).outputs(2),
        op("Split").in("H", 3).with("num_outputs", 3).outputs(3),
        op(13, "Split").in("B", 6).with("axis", -1).outputs(3),
        op("Slice").in("S", "H").longs(-4).longs(-1).longs(1),
        op("Slice").in("S", "H").longs(1, 8).longs(Integer.MAX_VALUE, 2).longs(1, 0).longs(3, -1),
        op("Slice").in("S", 9).longs(-2).longs(-20).longs(1).longs(-2),
        op("Slice").in("S", "H").longs(-2).longs(Long.MIN_VALUE).longs(0).longs(-1),
        op("Slice").in("S", "H").longs(100).longs(200).longs(0),
        op(9, "Slice").in("S", "H").list("starts", 1).list("ends", -1).list("axes", 1),
        op("Gather").in("S", 4, "T").in(i64, "B", 3).with("axis", 1),
        op("Gather").in("S", 4).constant(Tensor.scalar(-1)).with("axis", -1),
        op("GatherElements").in("S", 4).in(i64, "S", 2).with("axis", 1),
        op("GatherND").in("B", 3, 4).in(i64, "B", 5, 1).with("batch_dims", 1),
        op("ScatterND").in("S", 4).in(i64, 1, 1).in(1, 4),
        op("ScatterElements").in("S", 4).in(i64, 1, 4).in(1, 4),
        op("TopK").in("B", 5).longs(3).outputs(2),
        op("NonZero").in("S", 2),
        op("OneHot").in(i64, "S").constant(Tensor.scalar(5)).in(2).with("axis", 0),
        op("CumSum").in("S", 3).constant(Tensor.scalar(0)),
        op("Pad").in("S", 3).longs(1, 0, 2, 4),
        op("Pad").in("S", 3, 4).longs(1, -1).absent().longs(-1),
        op("Trilu").in("S", "T"),
        op("EyeLike").in("S", "T").with("dtype", 7),
        op("DepthToSpace").in("B", 8, "H", "W").with("blocksize", 2),
        op("SpaceToDepth").in("B", 3, "2*H", "2*W").with("blocksize", 2),
        op("Shape").in("B", 3, "S").with("start", -2),
        op("Shape").in("B", 3, "S").with("start", 1).with("end", -1),
        op("Size").in("B", 3, "S"),
        op("ConstantOfShape").sizesOf("S", 2),
        op("Range")
            .constant(Tensor.scalar(1))
            .constant(Tensor.scalar(10))
            .constant(Tensor.scalar(4)),
        op("Range")
            .constant(Tensor.scalar(0f))
            .constant(Tensor.scalar(1f))
            .constant(Tensor.scalar(0.3f)),
        op("ReduceMean").in("B", "S", 3).longs(-1),
        op(13, "ReduceMean").in("B", "S", 3).list("axes", 0, 2).with("keepdims", 0),
        op("ReduceSum").in("B", "S", 3),
        op("ReduceSum").in("B", "S").with("noop_with_empty_axes", 1),
        op("ReduceProd").sizesOf("S", "T").with("keepdims", 0),
        op("ReduceMax").sizesOf("S", 3).longs(0),
        op("ReduceL2").in("B", "S").longs(1).with("keepdims", 0),
        op("ArgMax").in("B", "S").with("axis", -1).with("keepdims", 0),
        op("Softmax").in("B", "S"),
        op("LayerNormalization").in("B", "S", 8).in(8).outputs(3),
        op("BatchNormalization").in("B", 3, "S").in(3).in(3).in(3).in(3),
        op("InstanceNormalization").in("B", 3, "S").in(3).in(3),
        op(21, "GroupNormalization").in("B", 4, "S").in(4).in(4).with("num_groups", 2),
        op(23, "RMSNormalization").in("B", "S", 8).in(8),
        op(23, "Attention").in("B", 2, "S", 8).in("B", 2, "T", 8).in("B", 2, "T", 4),
        op(23, "Attention")
            .in("B", "S", 16)
            .in("B", "T", 8)
            .in("B", "T", 12)
            .with("q_num_heads", 4)
            .with("kv_num_heads", 2),
        op(23, "Attention")
            .in("B", 2, "S", 8)
            .in("B", 2, "T", 8)
            .in("B", 2, "T", 8)
            .absent()
            .in("B", 2, "N", 8)
            .in("B", 2, "N", 8)
            .outputs(4),
        op(23, "RotaryEmbedding").in("B", 2, "S", 8).in("B", "S", 4).in("B", "S", 4),
        op("GridSample").in("B", 3, "H", "W").in("B", "S", "T", 2),
        op("QuantizeLinear").in("S", 4).constant(Tensor.scalar(0.5f)),
        op("DynamicQuantizeLinear").in("S", 4).outputs(3),
        op("Dropout").in("S", 4).outputs(2),
        op("Compress").in("S", 4).in(bool, 4).with("axis", 1),
        op("Unique").in("S").outputs(4),
        op("Multinomial").in("B", 4).with("sample_size", 5),
        op("RandomNormal").list("shape", 2, 3),
        microsoft("MultiHeadAttention")
            .in("B", "S", 16)
            .in("B", "T", 16)
            .in("B", "T", 8)
            .with("num_heads", 2),
        microsoft("Attention").in("B", "S", 6).in(6, 24).in(24).with("num_heads", 2),
        microsoft("FusedMatMul").in("B", "S", 8).in("B", "T", 8).with("transB", 1),
        microsoft("FusedMatMul").in("S", "B", 8).in("B", 8, "T").with("transBatchA", 1),
        microsoft("FusedMatMul")
            .in("B", "S", 8)
            .in("T", "B", 8)
            .with("transB", 1)
            .with("transBatchB", 1),
        microsoft("SkipLayerNormalization").in("B", "S", 8).in("B", "S", 8).in(8),
        microsoft("QuickGelu").in("B", "S"),
        microsoft("FastGelu").in("B", "S"));
  }

  private static Tensor floats(float... elements) {
    return Tensor.ofFloats(new long[] {elements.length}, elements);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void theRuleSaysWhatTheRuntimeGives(Case example) {
    if (example.node.outputs().isEmpty()) {
      example.outputs(1);
    }
    ShapeTable table = ShapeInference.infer(example.model);
    assertThat(table.unknowns()).isEmpty();
    List<Value> outputs = example.node.outputs();
    outputs.forEach(example.graph::addOutput);

    Map<String, Tensor> actual;
    OrtOptions plain = OrtOptions.DEFAULT.withOptimisation(OrtOptions.Optimisation.NONE);
    try (OrtRunner runner = OrtRunner.load(example.model, plain)) {
      example.inputs.keySet().retainAll(runner.inputNames());
      actual = runner.run(example.inputs);
    }

    for (Value output : outputs) {
      Tensor tensor = Optional.ofNullable(actual.get(output.name())).orElseThrow();
      List<Dim> shape = table.shape(output).orElseThrow();
      assertThat(table.elementType(output)).isEqualTo(tensor.type());
      assertThat(shape).hasSize(tensor.rank());
      for (int i = 0; i < shape.size(); i++) {
        boolean computed = List.of("NonZero", "Unique", "Compress").contains(example.node.opType());
        assertThat(computed || shape.get(i).isNamed()).as("%s", shape).isTrue();
        long size = tensor.dims()[i];
        assertThat(shape.get(i).evaluate(SIZES).orElse(size)).as("%s", shape).isEqualTo(size);
      }
      table
          .elements(output)
          .ifPresent(
              elements ->
                  assertThat(elements.stream().map(e -> e.evaluate(SIZES).orElseThrow()).toList())
                      .isEqualTo(Arrays.stream(tensor.longs().orElseThrow()).boxed().toList()));
      table
          .constant(output)
          .ifPresent(
              constant ->
                  assertThat(constant.doubles().orElseThrow())
                      .isEqualTo(tensor.doubles().orElseThrow()));
    }
  }
}
