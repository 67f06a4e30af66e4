package io.sparsedit.cli.bench;

import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.Model;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;

/**
 * What is measured.
 *
 * @param bundle the bundle's folder
 * @param against the bundle whose dense engine it is compared with
 * @param options how its model is loaded
 * @param actions the actions whose steps are timed; empty for all that the bundle can do
 * @param warmUp steps of each kind before those that are timed, in each of the two passes
 * @param repeat steps of each kind that are timed, at least 2
 * @param steps length of the schedules, or empty for the bundle's
 * @param denseWarmups fractions of dense steps of the schedules; empty for the bundle's own
 * @param replanIntervals re-plan intervals of the schedules; empty for the bundle's own
 * @param whole whether the bundle's schedule is also run from first step to last
 * @param layers whether layers are timed
 * @param sizes sizes of symbolic dimensions
 * @param seed of the inputs' noise
 */
public record BenchSetup(
    Path bundle,
    Path against,
    Model.Options options,
    Set<Action> actions,
    int warmUp,
    int repeat,
    OptionalInt steps,
    List<Double> denseWarmups,
    List<Integer> replanIntervals,
    boolean whole,
    boolean layers,
    Map<String, Long> sizes,
    long seed) {}
