package io.sparsedit.passes;

import io.sparsedit.passes.functions.TextPosition;
import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/**
 * What the published scripts of SVG and SVG2 (svg-project/Sparse-VideoGen, commit 5ce7b01) set for
 * a model, beside what they set for all.
 */
public enum Preset {
  /** Wan 2.1 14B, text to video, 720x1280. */
  WAN_T2V_720P(50, 0.2, false, 0.03, 0.30f, 300),
  /** Wan 2.1 14B, image to video, 720x1280. */
  WAN_I2V_720P(40, 0.35, false, 0.03, 0.30f, 300),
  /** Wan 2.1 14B, image to video, 480x832. */
  WAN_I2V_480P(40, 0.2, true, 0.03, 0.30f, 200),
  /** HunyuanVideo, text to video, 720x1280. */
  HUNYUAN_T2V_720P(50, 0.1, true, 0.03, 0.25f, 400),
  /** HunyuanVideo, text to video, 480x720. */
  HUNYUAN_T2V_480P(50, 0.04, true, 0, 0.20f, 200),
  /** Cosmos 1 14B, 704x1280. */
  COSMOS_720P(35, 0.3, false, 0.03, 0.25f, 400),
  /**
   * CogVideoX 1.5 5B, image to video, 768x1360. SVG only. The script's fraction of layers is 0.025,
   * its comparison keeps layers 0 and 1 of 42 dense.
   */
  COGVIDEOX_I2V_768P(50, 0.2, false, 0.05, 0.25f, 300);

  /** Between the video tokens of HunyuanVideo at 480p and at 720p. */
  private static final long HUNYUAN_720P_TOKENS = 72_750;

  private static final int KEY_CLUSTERS = 1000;

  private final int steps;
  private final double denseWarmup;
  private final boolean planDuringWarmup;
  private final double denseLayers;
  private final float svgDensity;
  private final int queryClusters;

  Preset(
      int steps,
      double denseWarmup,
      boolean planDuringWarmup,
      double denseLayers,
      float svgDensity,
      int queryClusters) {
    this.steps = steps;
    this.denseWarmup = denseWarmup;
    this.planDuringWarmup = planDuringWarmup;
    this.denseLayers = denseLayers;
    this.svgDensity = svgDensity;
    this.queryClusters = queryClusters;
  }

  /** The name on the command line and in bundles. */
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** The preset of a name. */
  public static Optional<Preset> of(String label) {
    return Arrays.stream(values()).filter(preset -> preset.label().equals(label)).findFirst();
  }

  /**
   * The preset of the model that is most alike: HunyuanVideo has its text last, CogVideoX first,
   * Wan has none.
   */
  static Preset mostAlike(TextPosition text, long videoTokens) {
    return switch (text) {
      case NONE -> WAN_T2V_720P;
      case FIRST -> COGVIDEOX_I2V_768P;
      case LAST -> videoTokens < HUNYUAN_720P_TOKENS ? HUNYUAN_T2V_480P : HUNYUAN_T2V_720P;
    };
  }

  /** Denoising steps. */
  public int steps() {
    return steps;
  }

  /** The fraction of the steps that runs dense first. */
  public double denseWarmup() {
    return denseWarmup;
  }

  /** Whether SVG2 clusters in the dense steps too ({@code zero_step_kmeans_init}). */
  public boolean planDuringWarmup() {
    return planDuringWarmup;
  }

  /** The fraction of the layers, rounded down, that stays dense. */
  public double denseLayers() {
    return denseLayers;
  }

  /** Density that SVG's band follows from. */
  public float svgDensity() {
    return svgDensity;
  }

  /** Clusters of SVG2. */
  public Svg2Settings.Clusters clusters() {
    return new Svg2Settings.Clusters(queryClusters, KEY_CLUSTERS);
  }
}
