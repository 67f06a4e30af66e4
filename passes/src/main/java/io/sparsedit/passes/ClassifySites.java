package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Says of every site what attends to what, from where its data comes.
 *
 * <pre>
 *   sources(q) != sources(v)                                   cross
 *   sources(q) == sources(v), independent of the video input    text
 *   ... as many tokens as the video                             self
 *   ... more tokens than the video                              joint
 * </pre>
 *
 * The sources of a value are the inputs of the linear projections nearest upstream. Values are
 * compared, not keys: exporters let size computations of the query leak into the key.
 */
final class ClassifySites implements Pass<Compilation> {
  @Override
  public String name() {
    return "classify sites";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.SITES_RECOGNISED, Established.GEOMETRY_FOUND);
  }

  @Override
  public Set<Established> establishes() {
    return Set.of(Established.SITES_CLASSIFIED);
  }

  @Override
  public int run(Compilation compilation) {
    Graph graph = compilation.model().graph();
    DataFlow flow = new DataFlow(graph, compilation.facts());
    Optional<Value> videoInput = videoInput(graph, compilation.facts());
    List<Site> classified = new ArrayList<>();
    for (Site site : compilation.sites()) {
      SiteKind kind = classify(site, flow, videoInput, compilation.geometry());
      site.attention().setAttribute("kind", kind.label());
      classified.add(site.withKind(kind));
    }
    compilation.setSites(classified);
    return classified.size();
  }

  private static SiteKind classify(
      Site site, DataFlow flow, Optional<Value> videoInput, Optional<VideoGeometry> geometry) {
    Set<Value> querySources = flow.projectionSources(site.query());
    Set<Value> valueSources = flow.projectionSources(site.value());
    if (!querySources.equals(valueSources)
        || !site.shape().queryTokens().equals(site.shape().keyTokens())) {
      return SiteKind.CROSS;
    }
    if (videoInput.isPresent()
        && !flow.graphInputs(valueSources.isEmpty() ? List.of(site.value()) : valueSources)
            .contains(videoInput.get())) {
      return SiteKind.TEXT;
    }
    if (geometry.isPresent()) {
      return site.shape().queryTokens().equals(geometry.get().tokens())
          ? SiteKind.SELF
          : SiteKind.JOINT;
    }
    return valueSources.size() > 1 ? SiteKind.JOINT : SiteKind.SELF;
  }

  /**
   * The input that holds the noisy video: of the inputs with the rank of the first output the one
   * that shares most of its dimensions, and of equal ones the first.
   */
  private static Optional<Value> videoInput(Graph graph, ValueFacts facts) {
    Optional<List<Dim>> output = facts.shape(graph.outputs().get(0));
    if (output.isEmpty()) {
      return Optional.empty();
    }
    Optional<Value> best = Optional.empty();
    long bestShared = 0;
    for (Value input : graph.inputs()) {
      Optional<List<Dim>> shape = facts.shape(input);
      if (input.constant().isPresent()
          || !facts.elementType(input).isFloating()
          || shape.isEmpty()
          || shape.get().size() != output.get().size()) {
        continue;
      }
      long shared = 0;
      for (int axis = 1; axis < shape.get().size(); axis++) {
        if (shape.get().get(axis).equals(output.get().get(axis))) {
          shared++;
        }
      }
      if (shared > bestShared) {
        bestShared = shared;
        best = Optional.of(input);
      }
    }
    return best;
  }
}
