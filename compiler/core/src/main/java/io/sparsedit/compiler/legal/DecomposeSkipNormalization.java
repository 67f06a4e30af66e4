package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Writes the normalisations of ONNX Runtime's optimiser with standard operators.
 *
 * <pre>
 *   before   y, _, _, sum = com.microsoft.SkipLayerNormalization(x, skip, gamma, beta, bias)
 *   after    sum = Add(Add(x, skip), bias)
 *            y = LayerNormalization(sum, gamma, beta)
 * </pre>
 *
 * SkipSimplifiedLayerNormalization and SimplifiedLayerNormalization divide by the root of the mean
 * of squares instead, as RMSNormalization does. A node whose statistics are read is left. Before
 * operator set 17, which brought LayerNormalization, that is written as means.
 */
final class DecomposeSkipNormalization implements Pass<EngineModel> {
  private static final long LAYER_NORMALIZATION = 17;
  private static final float EPSILON = 1e-5f;
  private static final float SKIP_EPSILON = 1e-12f;
  private static final int SUM = 3;

  @Override
  public String name() {
    return "decompose normalisations of ONNX Runtime";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      boolean skip = Microsoft.is(node, "SkipLayerNormalization");
      boolean skipRms = Microsoft.is(node, "SkipSimplifiedLayerNormalization");
      // ONNX Runtime has registered this one in the default domain.
      boolean rms =
          node.opType().equals("SimplifiedLayerNormalization")
              && (node.domain().isEmpty() || node.domain().equals(Microsoft.DOMAIN));
      if ((skip || skipRms || rms) && !readsStatistics(node)) {
        DataType type = model.facts().elementType(node.requiredInput(0));
        if (type.isFloating()) {
          Emit emit = new Emit(node, model.model().opset());
          if (rms) {
            simplified(node, emit, type);
          } else {
            skip(node, emit, type, skipRms);
          }
          changed++;
        }
      }
    }
    return changed;
  }

  private static boolean readsStatistics(Node node) {
    for (int i = 1; i < Math.min(node.outputs().size(), SUM); i++) {
      if (!node.output(i).isUnused()) {
        return true;
      }
    }
    return false;
  }

  private static void simplified(Node node, Emit emit, DataType type) {
    DataType stash = DataType.ofCode((int) node.intAttribute("stash_type", DataType.FLOAT.code()));
    long axis = node.intAttribute("axis", -1);
    Value normalised =
        Norms.rms(
            emit,
            node.requiredInput(0),
            type,
            stash,
            node.floatAttribute("epsilon", EPSILON),
            axis < 0 ? Norms.from(axis) : new long[] {-1});
    emit.replace(List.of(emit.node("Mul", normalised, node.requiredInput(1))));
  }

  private static void skip(Node node, Emit emit, DataType type, boolean rms) {
    Value sum = emit.node("Add", node.requiredInput(0), node.requiredInput(1));
    Optional<Value> bias = node.input(rms ? 3 : 4);
    if (bias.isPresent()) {
      sum = emit.node("Add", sum, bias.get());
    }
    float epsilon = node.floatAttribute("epsilon", SKIP_EPSILON);
    Value gamma = node.requiredInput(2);
    Value y;
    if (rms) {
      Value normalised = Norms.rms(emit, sum, type, DataType.FLOAT, epsilon, -1);
      y = emit.node("Mul", normalised, gamma);
    } else if (emit.opset() >= LAYER_NORMALIZATION) {
      List<Value> inputs = new ArrayList<>(List.of(sum, gamma));
      node.input(3).ifPresent(inputs::add);
      y = emit.node("LayerNormalization", inputs.toArray(Value[]::new));
      Emit.owner(y).setAttribute("axis", -1).setAttribute("epsilon", epsilon);
    } else {
      Value normalised = Norms.layer(emit, sum, type, epsilon);
      Value scaled = emit.node("Mul", normalised, gamma);
      y = node.input(3).map(beta -> emit.node("Add", scaled, beta)).orElse(scaled);
    }
    emit.replace(List.of(y, y, y, sum));
  }
}
