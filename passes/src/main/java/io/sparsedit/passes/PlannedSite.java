package io.sparsedit.passes;

import io.sparsedit.passes.functions.Layout;
import io.sparsedit.passes.functions.TextPosition;

/**
 * What a method's planner is told of the site that it plans.
 *
 * @param index place in {@code action} and in the names of the state
 * @param layout order of the dimensions of q and k
 * @param scale what QK^T is multiplied with
 * @param text where text tokens stand
 * @param masked whether keys are masked out: then the attention, and a planner that asks for it,
 *     gets {@code key_bias}
 * @param keepsPlan whether the schedule reuses plans, so that the plan is state
 * @param videoTokens number of video tokens; {@link Long#MAX_VALUE} if it is symbolic
 * @param preset the model whose published settings hold where the user says nothing
 */
public record PlannedSite(
    int index,
    Layout layout,
    float scale,
    TextPosition text,
    boolean masked,
    boolean keepsPlan,
    long videoTokens,
    Preset preset) {}
