package io.sparsedit.cli;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.passes.Preset;
import io.sparsedit.passes.ScheduleOptions;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Options that say which steps of a denoising run are dense, plan, or reuse a plan. */
final class StepOptions {
  @Option(
      names = "--preset",
      paramLabel = "MODEL",
      description = {
        "Model whose published schedule, dense layers, clusters and density hold:",
        "wan-t2v-720p, wan-i2v-720p, wan-i2v-480p, hunyuan-t2v-720p, hunyuan-t2v-480p, cosmos-720p,"
            + " cogvideox-i2v-768p.",
        "Default: the one that is most alike by where text stands; clusters then by token count."
      })
  private @Nullable String presetName;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description = "Denoising steps. Default: those of the preset.")
  private @Nullable Integer steps;

  @Option(
      names = "--dense-warmup",
      paramLabel = "FRACTION",
      description = "Fraction of the steps that runs dense first. Default: that of the preset.")
  private @Nullable Double denseWarmup;

  @Option(
      names = "--replan-interval",
      paramLabel = "N",
      description =
          "Sparse steps that share a plan. Above 1 the plan is part of the state. Default: 1;"
              + " adaspa: see --search-steps.")
  private @Nullable Integer replanInterval;

  @Option(
      names = "--plan-during-warmup",
      negatable = true,
      description =
          "Cluster in the dense steps too, so that the first sparse step starts warm. Default: that"
              + " of the preset.")
  private @Nullable Boolean planDuringWarmup;

  @Option(
      names = "--search-steps",
      paramLabel = "STEP",
      split = ",",
      description =
          "Steps that plan, counted from 0; the first of them and those before are dense. Default"
              + " of adaspa: 9,29 of 50 steps, as published, in proportion.")
  private @Nullable List<Integer> searchSteps;

  /** The preset that the user names. */
  Optional<Preset> preset() {
    return Optional.ofNullable(presetName)
        .map(
            label ->
                Preset.of(label)
                    .orElseThrow(
                        () ->
                            SparsifyException.usage(
                                "--preset must be one of "
                                    + Arrays.stream(Preset.values())
                                        .map(Preset::label)
                                        .collect(Collectors.joining(", "))
                                    + ", not '"
                                    + label
                                    + "'")));
  }

  ScheduleOptions toSchedule() {
    return new ScheduleOptions(
        preset(),
        steps == null ? OptionalInt.empty() : OptionalInt.of(steps),
        Optional.ofNullable(denseWarmup),
        replanInterval == null ? OptionalInt.empty() : OptionalInt.of(replanInterval),
        Optional.ofNullable(planDuringWarmup),
        Optional.ofNullable(searchSteps));
  }
}
