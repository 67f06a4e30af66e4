package io.sparsedit.passes;

import io.sparsedit.passes.functions.FrameSink;
import io.sparsedit.passes.functions.SvgBand;
import io.sparsedit.passes.functions.SvgPlan;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * The bands that SVG makes of a site whose sizes are known, and what there is to say about them:
 * bands are whole blocks, so that a density is met roughly, or, in a short video, not at all.
 *
 * @param call the planner
 * @param spatial the band of spatial heads
 * @param temporal the band of temporal heads
 * @param oneFrame whether the first frame is the whole video
 */
record SvgBands(SvgPlan call, SvgBand spatial, SvgBand temporal, boolean oneFrame) {
  /** Above this, rounding does not explain a density. */
  private static final double SLACK = 1e-6;

  /** The bands of a site, if SVG plans it and the sizes of its video and text are static. */
  static Optional<SvgBands> of(EmittedSite emitted, Optional<VideoGeometry> geometry) {
    if (!(emitted.method().planner(emitted.planned()) instanceof SvgPlan call)
        || geometry.isEmpty()) {
      return Optional.empty();
    }
    VideoGeometry video = geometry.get();
    OptionalLong frames = video.frames().constant();
    OptionalLong perFrame = video.height().times(video.width()).constant();
    OptionalLong tokens = emitted.site().shape().queryTokens().constant();
    if (frames.isEmpty() || perFrame.isEmpty() || tokens.isEmpty()) {
      return Optional.empty();
    }
    int text = (int) (tokens.getAsLong() - frames.getAsLong() * perFrame.getAsLong());
    SvgBand[] bands = new SvgBand[2];
    for (int i = 0; i < bands.length; i++) {
      bands[i] =
          SvgBand.of(call, i == 1, (int) frames.getAsLong(), (int) perFrame.getAsLong(), text);
    }
    return Optional.of(new SvgBands(call, bands[0], bands[1], frames.getAsLong() == 1));
  }

  /** What to tell the user, once for all sites that are alike. */
  static List<String> notes(Compilation compilation) {
    Map<SvgBands, Integer> sites = new LinkedHashMap<>();
    for (EmittedSite emitted : compilation.emitted()) {
      of(emitted, compilation.geometry())
          .ifPresent(bands -> sites.merge(bands.withoutIndex(), 1, Integer::sum));
    }
    List<String> notes = new ArrayList<>();
    sites.forEach((bands, count) -> notes.add(bands.note(count)));
    return notes;
  }

  private SvgBands withoutIndex() {
    return new SvgBands(call.atSite(0), spatial, temporal, oneFrame);
  }

  private double density() {
    return Math.max(spatial.density(), temporal.density());
  }

  String note(int sites) {
    StringBuilder note = new StringBuilder("SVG, ");
    note.append(sites == 1 ? "1 site" : sites + " sites").append(": ");
    note.append(width(spatial));
    if (!spatial.equals(temporal)) {
      note.append(" in spatial heads, ").append(width(temporal)).append(" in temporal heads");
    }
    if (call.sink() != FrameSink.NONE) {
      note.append(", with the frame sink");
    }
    if (Math.min(spatial.density(), temporal.density()) > 1 - SLACK) {
      note.append(". That is everything, so that nothing is saved: ");
      return note.append(
              oneFrame && call.sink() != FrameSink.NONE
                  ? "the frame sink is the whole of a video of one frame. Give --frame-sink none."
                  : "give a smaller --block-size or --density, or another --method.")
          .toString();
    }
    String asked = "--density " + Float.toString(call.density());
    if (call.budget() && density() > call.density() + SLACK) {
      note.append(". That is more than ")
          .append(asked)
          .append(" asks for: no band of these blocks is thinner. A smaller --block-size")
          .append(call.sink() == FrameSink.NONE ? "" : ", or --frame-sink none,")
          .append(" keeps less");
    } else if (call.budget()) {
      note.append(", the widest within ").append(asked);
    } else {
      note.append(", by the published formula for density ").append(call.density());
    }
    return note.append('.').toString();
  }

  private String width(SvgBand band) {
    return String.format(
        Locale.ROOT,
        "density %.3f, a band of %d block%s of %d tokens to either side",
        band.density(),
        band.blocks(),
        band.blocks() == 1 ? "" : "s",
        call.blockSize());
  }
}
