package io.sparsedit.passes;

import java.util.Optional;

/**
 * What the user asks of a compilation.
 *
 * @param method the method and its settings
 * @param video extent of the video where the user gives it
 * @param denseLayers layers that stay dense
 * @param checkInvariants whether the graph is verified after every pass
 */
public record CompileOptions(
    MethodSettings method,
    Optional<VideoGeometry> video,
    DenseLayers denseLayers,
    boolean checkInvariants) {

  /** SVG2 with the published settings. */
  public static final CompileOptions DEFAULT =
      new CompileOptions(Svg2Settings.PUBLISHED, Optional.empty(), DenseLayers.PUBLISHED, false);
}
