package io.sparsedit.passes;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.passes.functions.TextPosition;
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

  /** [batch, tokens, channels]; a video of pixels has more axes. */
  private static final int TOKEN_INPUT_RANK = 3;

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
      if (kind == SiteKind.JOINT && !queries.isInOrderOf(keys)) {
        site.attention().setAttribute(DenseOnly.KEY_TOKENS, keys.toString());
        site.attention().setAttribute(DenseOnly.QUERY_TOKENS, queries.toString());
      }
      classified.add(site.classified(kind, queries));
    }
    List<Site> told =
        compilation
            .options()
            .text()
            .map(text -> withText(classified, text, video, compilation))
            .orElse(classified);
    told.forEach(site -> site.attention().setAttribute("kind", site.kind().label()));
    compilation.setSites(told);
    return told.size();
  }

  /**
   * The sites with the text that the user tells of: where the graph knows of text, it must be that;
   * where tokens come as an input, they may be among them.
   */
  private static List<Site> withText(
      List<Site> sites, TextTokens text, Optional<Value> video, Compilation compilation) {
    boolean known = false;
    for (Site site : sites) {
      if (site.kind() == SiteKind.JOINT && site.tokens().textPosition().isPresent()) {
        requireAgreement(site, text, compilation);
        known = true;
      }
    }
    if (known) {
      return sites;
    }
    int rank = video.flatMap(compilation.facts()::shape).map(List::size).orElse(0);
    if (rank > TOKEN_INPUT_RANK) {
      throw SparsifyException.usage(
          "--text "
              + text
              + " contradicts "
              + compilation.file()
              + ": its video tokens are made of the pixels of input "
              + video.orElseThrow()
              + ", and no attention joins text to them. Leave --text out.");
    }
    TextPosition end =
        text.position()
            .orElseThrow(
                () ->
                    SparsifyException.usage(
                        "--text "
                            + text
                            + ": "
                            + compilation.file()
                            + " does not tell where the text stands. Give --text "
                            + text
                            + ",first or --text "
                            + text
                            + ",last."));
    List<Site> told = sites.stream().map(site -> withText(site, text, end)).toList();
    if (told.equals(sites)) {
      throw SparsifyException.usage(
          "--text "
              + text
              + ": no attention of "
              + compilation.file()
              + " is over more than "
              + text.count()
              + " tokens of one sequence.");
    }
    return told;
  }

  private static Site withText(Site site, TextTokens text, TextPosition end) {
    Dim tokens = site.shape().queryTokens();
    boolean mayHoldText =
        (site.kind() == SiteKind.SELF || site.kind() == SiteKind.JOINT)
            && (!tokens.isConstant() || tokens.constant().getAsLong() > text.count());
    return mayHoldText ? site.classified(SiteKind.JOINT, text.within(tokens, end)) : site;
  }

  private static void requireAgreement(Site site, TextTokens text, Compilation compilation) {
    TokenLayout known = site.tokens();
    boolean agrees =
        AxisMap.mayEqual(known.text(), Dim.of(text.count()))
            && (text.position().isEmpty() || text.position().equals(known.textPosition()));
    if (!agrees) {
      throw SparsifyException.usage(
          "--text "
              + text
              + " contradicts the graph: the tokens of "
              + site.name()
              + " in "
              + compilation.file()
              + " are "
              + known
              + ". Leave --text out, or give that.");
    }
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
