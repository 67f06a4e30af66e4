package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Function;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A call of {@code MeasurePlan}: what a plan keeps of the attention that it stands for. Models that
 * are made to be measured have it beside the attention; it changes nothing.
 *
 * <p>It takes q, k, the plan, geometry, key_bias where keys are masked, and action, and gives
 * density and recall, both f32 {@code [B,H]} and 1 on a dense step.
 *
 * @param site index of the site
 * @param layout order of the dimensions of q and k
 * @param scale what QK^T is multiplied with
 * @param rows video queries that recall is measured on, evenly spaced; all if there are no more
 * @param text where text tokens stand
 * @param keyBias whether the call has the input {@code key_bias}
 */
public record MeasurePlan(
    int site, Layout layout, float scale, int rows, TextPosition text, boolean keyBias)
    implements SparseOp {
  /** The operator's name. */
  public static final String OP_TYPE = "MeasurePlan";

  /** INT: how many queries recall is measured on. */
  public static final String ROWS = "rows";

  /** Kept pairs of a video query and a video key over all that are not masked. */
  public static final String DENSITY = "density";

  /** Mean over queries of the softmax mass of the kept keys. */
  public static final String RECALL = "recall";

  public MeasurePlan {
    if (rows < 1) {
      throw new IllegalArgumentException("recall needs at least one row");
    }
  }

  @Override
  public String opType() {
    return OP_TYPE;
  }

  @Override
  public String overload() {
    return layout.overloadPart() + text.overloadPart() + (keyBias ? "_bias" : "");
  }

  @Override
  public List<String> inputs() {
    List<String> inputs = new ArrayList<>(List.of(SparseOps.Q, SparseOps.K));
    inputs.addAll(Planner.PLAN);
    inputs.add(SparseOps.GEOMETRY);
    if (keyBias) {
      inputs.add(SparseOps.KEY_BIAS);
    }
    inputs.add(SparseOps.ACTION);
    return inputs;
  }

  @Override
  public List<String> outputs() {
    return List.of(DENSITY, RECALL);
  }

  @Override
  public Map<String, Attribute> attributes() {
    Map<String, Attribute> attributes = SparseOp.commonAttributes(site, layout, scale);
    attributes.put(ROWS, new Attribute.IntValue(rows));
    return attributes;
  }

  @Override
  public Function function(long opset) {
    return MeasurePlanFunction.build(this, opset);
  }

  /** Name of the graph output of a site's density. */
  public static String densityOutput(int site) {
    return "measured.s" + site + "." + DENSITY;
  }

  /** Name of the graph output of a site's recall. */
  public static String recallOutput(int site) {
    return "measured.s" + site + "." + RECALL;
  }
}
