package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Says of every site what attends to what, from where its tokens come.
 *
 * <pre>
 *   query tokens      key tokens          kind
 *   video             the same            self
 *   video and text    the same            joint
 *   no video          no video            text
 *   otherwise                             cross
 * </pre>
 *
 * Tokens are followed to the graph inputs ({@link TokenOrigins}); those that come from the video
 * input ({@link VideoInput}) are video tokens. Where the walk ends nowhere, the inputs of the
 * linear projections upstream decide.
 */
final class ClassifySites implements Pass<Compilation> {
  /** In BHSD. */
  private static final int TOKEN_AXIS = 2;

  @Override
  public String name() {
    return "classify sites";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.SITES_RECOGNISED);
  }

  @Override
  public Set<Established> establishes() {
    return Set.of(Established.SITES_CLASSIFIED);
  }

  @Override
  public int run(Compilation compilation) {
    Graph graph = compilation.model().graph();
    DataFlow flow = new DataFlow(graph, compilation.facts());
    TokenOrigins origins = new TokenOrigins(flow, compilation.facts());
    Optional<Value> video = VideoInput.find(graph, compilation.facts(), origins);
    List<Site> classified = new ArrayList<>();
    for (Site site : compilation.sites()) {
      TokenLayout queries = layout(origins.of(site.query(), TOKEN_AXIS), video);
      TokenLayout keys = layout(origins.of(site.value(), TOKEN_AXIS), video);
      SiteKind kind =
          queries.isKnown() && keys.isKnown()
              ? classify(site, queries, keys, flow)
              : classifyByProjections(site, flow);
      site.attention().setAttribute("kind", kind.label());
      classified.add(site.classified(kind, queries));
    }
    compilation.setSites(classified);
    return classified.size();
  }

  /** Unknown if it is not known which input is the video. */
  private static TokenLayout layout(List<TokenOrigins.Segment> segments, Optional<Value> video) {
    if (video.isEmpty()) {
      return TokenLayout.UNKNOWN;
    }
    return TokenLayout.of(
        segments.stream()
            .map(
                segment ->
                    new TokenLayout.Part(segment.inputs().contains(video.get()), segment.tokens()))
            .toList());
  }

  private static SiteKind classify(
      Site site, TokenLayout queries, TokenLayout keys, DataFlow flow) {
    if (!queries.hasVideo() && !keys.hasVideo()) {
      return SiteKind.TEXT;
    }
    boolean sameTokens =
        queries.hasVideo() == keys.hasVideo()
            && queries.hasText() == keys.hasText()
            && AxisMap.mayEqual(site.shape().queryTokens(), site.shape().keyTokens());
    if (!sameTokens) {
      return SiteKind.CROSS;
    }
    // Video tokens may attend to a second set of video tokens, such as a reference clip.
    if (!queries.hasText()
        && !flow.projectionSources(site.query()).equals(flow.projectionSources(site.value()))) {
      return SiteKind.CROSS;
    }
    return queries.hasText() ? SiteKind.JOINT : SiteKind.SELF;
  }

  private static SiteKind classifyByProjections(Site site, DataFlow flow) {
    Set<Value> querySources = flow.projectionSources(site.query());
    Set<Value> valueSources = flow.projectionSources(site.value());
    if (!querySources.equals(valueSources)
        || !AxisMap.mayEqual(site.shape().queryTokens(), site.shape().keyTokens())) {
      return SiteKind.CROSS;
    }
    return valueSources.size() > 1 ? SiteKind.JOINT : SiteKind.SELF;
  }
}
