package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.pass.PassRecord;
import io.sparsedit.compiler.pass.PassRunner;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Writes a model with operators that TensorRT's ONNX parser takes; what it computes stays the same.
 */
public final class Legalisation {
  private Legalisation() {}

  /** The passes in order. */
  private static List<Pass<EngineModel>> passes(Optional<DenseSites> dense) {
    List<Pass<EngineModel>> passes = new ArrayList<>(spelling());
    dense.ifPresent(sites -> passes.add(new AttendByPlugin(sites)));
    passes.addAll(tuning());
    return passes;
  }

  /** What writes operators as others. */
  private static List<Pass<EngineModel>> spelling() {
    return List.of(
        new ReplaceCastLike(),
        new DecomposeRmsNormalization(),
        new DecomposeSkipNormalization(),
        new DecomposeRotaryEmbedding(),
        new DecomposeAttention(),
        new DecomposeMultiHeadAttention(),
        new DecomposeSwish(),
        new DecomposeGelu(),
        new DecomposeFusedMatMul(),
        new DecomposeGroupNormalization(),
        new DecomposeLogSumExp());
  }

  private static List<Pass<EngineModel>> tuning() {
    return List.of(
        new GuardAfterProduct(),
        new SplitLargeAttention(),
        new MultiplyPatches(),
        new UnrollScatterReduction(),
        new JoinInsteadOfScatter(),
        new PlainIntegers(),
        new SliceBeforeJoining(),
        // Last: the others read what the model's own operator set means.
        new LowerOperatorSet());
  }

  /**
   * Changes the model, which keeps its types.
   *
   * @return what each pass did
   */
  public static List<PassRecord> apply(Model model) {
    return apply(model, Optional.empty());
  }

  /**
   * Changes the model, which keeps its types.
   *
   * @param dense the attention that is left dense and calls SparseDiT's plugin; empty: none
   * @return what each pass did
   */
  public static List<PassRecord> apply(Model model, Optional<DenseSites> dense) {
    return run(model, passes(dense));
  }

  /**
   * Changes what the model's floats are.
   *
   * @return what the pass did
   */
  public static List<PassRecord> convert(Model model, Precision precision) {
    return run(model, List.of(new ConvertPrecision(precision)));
  }

  private static List<PassRecord> run(Model model, List<Pass<EngineModel>> passes) {
    PassRunner<EngineModel> runner =
        new PassRunner<>(passes, EngineModel::model, EngineModel::changed);
    List<PassRecord> records = runner.run(new EngineModel(model));
    model.graph().removeDeadNodes();
    return records;
  }
}
