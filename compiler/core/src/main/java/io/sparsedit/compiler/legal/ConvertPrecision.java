package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.HalfFloat;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.onnx.ExternalData;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.ShapeTable;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Converts float32 to floats of 16 bits, but for the nodes of {@link ExactNodes}.
 *
 * <pre>
 *   before   x: f32        h = MatMul(x, w)        y = Softmax(h)
 *   after    x: f32        h = MatMul(Cast(x, bf16), w as bf16)        y = Softmax(Cast(h, f32))
 * </pre>
 *
 * Inputs and outputs of the model keep their types. Of SparseDiT's operators q, k, v and o change;
 * state, plans and biases stay as they are. Small weights are rounded here, large and external ones
 * by a Cast that TensorRT works out while it builds: weights are not rewritten. A model with matrix
 * products in 16 bits stays as it is: its author has chosen what needs more.
 */
final class ConvertPrecision implements Pass<EngineModel> {
  /** Weights up to this size are rounded here. */
  private static final long MAX_ROUNDED = 1 << 22;

  private static final String SPARSE = "sparsedit";
  private static final Set<String> ACTIVATIONS = Set.of("BlockSparseAttention", "QkNormRope");

  private final DataType type;

  ConvertPrecision(Precision precision) {
    this.type = precision.type();
  }

  @Override
  public String name() {
    return "convert to " + type.shortName();
  }

  @Override
  public int run(EngineModel model) {
    boolean nothing =
        type == DataType.FLOAT || model.nodes().stream().anyMatch(n -> isHalf(n, model));
    return nothing ? 0 : new Conversion(model, type).run();
  }

  /** Whether the author has chosen already: a matrix product or convolution in 16 bits. */
  private static boolean isHalf(Node node, EngineModel model) {
    boolean product = node.is("MatMul") || node.is("Gemm") || node.is("Conv");
    return product && model.facts().elementType(node.output()).bits() == Short.SIZE;
  }

  /** One conversion. */
  private static final class Conversion {
    private final EngineModel model;
    private final Graph graph;
    private final ShapeTable facts;
    private final DataType type;
    private final Set<Node> exact;
    private final Map<Value, Value> rounded = new HashMap<>();
    private final Map<Value, Value> widened = new HashMap<>();

    Conversion(EngineModel model, DataType type) {
      this.model = model;
      this.graph = model.model().graph();
      this.facts = model.facts();
      this.type = type;
      this.exact = ExactNodes.of(graph, facts, type);
    }

    int run() {
      int changed = 0;
      List<Node> nodes = graph.nodeList();
      // Casts are inserted before uses, so what each value is must be known before any is.
      Map<Value, Boolean> half = new HashMap<>();
      for (Node node : nodes) {
        for (int i = 0; i < node.outputs().size(); i++) {
          half.put(node.output(i), givesHalf(node, i));
        }
      }
      for (Node node : nodes) {
        for (int i = 0; i < node.inputCount(); i++) {
          Optional<Value> input = node.input(i);
          if (input.isPresent() && facts.elementType(input.get()) == DataType.FLOAT) {
            boolean have = half.getOrDefault(input.get(), false);
            boolean want = takesHalf(node, i);
            if (have != want) {
              node.setInput(i, want ? rounded(input.get()) : widened(input.get()));
              changed++;
            }
          }
        }
        if (node.is("Cast") && !exact.contains(node) && isFloatToFloat(node)) {
          node.setAttribute("to", type.code());
        }
        widenInSubgraphs(node, half);
      }
      for (Value output : List.copyOf(graph.outputs())) {
        if (half.getOrDefault(output, false)) {
          widenOutput(output);
        }
      }
      half.forEach(
          (value, is) -> {
            if (is) {
              value.clearType();
            }
          });
      return changed;
    }

    private boolean isFloatToFloat(Node cast) {
      return facts.elementType(cast.requiredInput(0)) == DataType.FLOAT
          && facts.elementType(cast.output()) == DataType.FLOAT;
    }

    private boolean givesHalf(Node node, int output) {
      Value value = node.output(output);
      if (value.name().isEmpty()
          || facts.elementType(value) != DataType.FLOAT
          || node.is("Constant")) {
        return false;
      }
      if (node.domain().equals(SPARSE)) {
        return ACTIVATIONS.contains(node.opType());
      }
      // A Cast of integers gives what its readers ask for by another Cast.
      boolean fromFloat =
          !node.is("Cast") || facts.elementType(node.requiredInput(0)) == DataType.FLOAT;
      boolean computed =
          node.presentInputs().stream().anyMatch(v -> facts.elementType(v) == DataType.FLOAT);
      return !exact.contains(node) && fromFloat && computed;
    }

    private boolean takesHalf(Node node, int input) {
      if (node.domain().equals(SPARSE)) {
        return isActivation(node, input);
      }
      if (node.is("Cast") && facts.elementType(node.output()) != DataType.FLOAT) {
        return false;
      }
      return !exact.contains(node) && node.subgraphs().isEmpty();
    }

    /** q, k and v of planners and attention; as many of QK-norm and RoPE as it gives out. */
    private boolean isActivation(Node node, int input) {
      Value value = node.requiredInput(input);
      boolean state = value.name().startsWith("state.");
      int rank = facts.shape(value).map(List::size).orElse(0);
      int activations = node.opType().equals("QkNormRope") ? node.outputs().size() : 3;
      return !state && rank == 4 && input < activations;
    }

    private void widenInSubgraphs(Node node, Map<Value, Boolean> half) {
      for (Graph subgraph : node.subgraphs()) {
        for (Node inner : subgraph.nodeList()) {
          for (int i = 0; i < inner.inputCount(); i++) {
            Optional<Value> input = inner.input(i);
            if (input.isPresent() && half.getOrDefault(input.get(), false)) {
              inner.setInput(i, widened(input.get()));
            }
          }
          widenInSubgraphs(inner, half);
        }
      }
    }

    private Value rounded(Value value) {
      Value known = rounded.get(value);
      if (known == null) {
        known = constant(value).orElseGet(() -> cast(value, type));
        rounded.put(value, known);
      }
      return known;
    }

    /** A constant of few elements, rounded. */
    private Optional<Value> constant(Value value) {
      Optional<Tensor> tensor = facts.constant(value).or(value::constant);
      boolean input = graph.inputs().contains(value);
      boolean weights =
          value.constant().isPresent()
              || value.producer().filter(node -> node.is("Constant")).isPresent();
      if (tensor.isEmpty() || input || !weights || tensor.get().elementCount() > MAX_ROUNDED) {
        return Optional.empty();
      }
      Tensor elements =
          tensor.get().isExternal()
              ? ExternalData.of(model.model()).load(tensor.get())
              : tensor.get();
      return Optional.of(graph.addConstant(value.name(), round(elements)));
    }

    private Tensor round(Tensor tensor) {
      double[] elements = tensor.doubles().orElseThrow();
      ByteBuffer bytes =
          ByteBuffer.allocate(Math.multiplyExact(2, elements.length))
              .order(ByteOrder.LITTLE_ENDIAN);
      for (double element : elements) {
        bytes.putShort(
            type == DataType.FLOAT16
                ? HalfFloat.fromFloat((float) element)
                : Emit.bfloat16((float) element));
      }
      return Tensor.raw(type, tensor.dims(), bytes.flip());
    }

    private Value widened(Value value) {
      Value known = widened.get(value);
      if (known == null) {
        known = cast(value, DataType.FLOAT);
        widened.put(value, known);
      }
      return known;
    }

    /** A conversion right behind the value. */
    private Value cast(Value value, DataType to) {
      Optional<Node> next = behind(value);
      Node cast =
          next.isPresent()
              ? graph.insertBefore(next.get(), "", "Cast", "", List.of(value))
              : graph.addNode("", "Cast", "", List.of(value));
      cast.setAttribute("to", to.code());
      return cast.addOutput(graph.freshName(value.name()));
    }

    /** The node behind a value's producer; the first one for an input or a constant. */
    private Optional<Node> behind(Value value) {
      boolean found = value.producer().isEmpty();
      for (Node node : graph.nodes()) {
        if (found) {
          return Optional.of(node);
        }
        found = value.producer().filter(producer -> producer == node).isPresent();
      }
      return Optional.empty();
    }

    /** An output of the model keeps its name and its type. */
    private void widenOutput(Value output) {
      String name = output.name();
      output.rename(graph.freshName(name));
      Node cast = graph.addNode("", "Cast", "", List.of(output));
      cast.setAttribute("to", DataType.FLOAT.code());
      Value wide = cast.addOutput(name);
      output.type().ifPresent(wide::setType);
      for (int i = 0; i < graph.outputs().size(); i++) {
        if (graph.outputs().get(i) == output) {
          graph.setOutput(i, wide);
        }
      }
    }
  }
}
