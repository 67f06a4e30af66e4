package io.sparsedit.passes;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.onnx.ExternalData;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.IntPredicate;

/**
 * Finds the extent of the video in tokens.
 *
 * <pre>
 *   patch embedding   Conv [B,C,F,H,W] -> [B,D,f,h,w], or [B*f,C,H,W] -> [B*f,D,h,w]
 *   patchify          Reshape [B,f,h,w,C] -> [B,S,C]
 *   un-patchify       Reshape [B,S,P] -> [B,f,h,w,p..,C]
 *   positions         initializer [..,S,..] whose channels repeat as f, h and w do
 * </pre>
 *
 * Whatever the place, f·h·w must be the number of video tokens S of some site. What the user gives
 * with {@code --video} must agree with both.
 */
final class FindGeometry implements Pass<Compilation> {
  /**
   * A guess.
   *
   * @param certainty larger is better
   */
  private record Candidate(VideoGeometry geometry, String source, int certainty) {}

  /** Whether an axis of a value may be one of video tokens. */
  @FunctionalInterface
  private interface AreTokens {
    boolean test(Value value, int axis);
  }

  /** A convolution that makes exactly the tokens. */
  private static final int CONVOLUTION = 5;

  /** Three axes that are the tokens. */
  private static final int THREE_AXES = 4;

  /** A table of the tokens' positions. */
  private static final int TABLE = 3;

  /** A convolution that makes a number of tokens which may be that of the sites. */
  private static final int POSSIBLE_CONVOLUTION = 2;

  /** Two axes: rows and columns of one frame, or frames and pixels of a frame. */
  private static final int TWO_AXES = 1;

  @Override
  public String name() {
    return "find geometry";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.SITES_CLASSIFIED);
  }

  @Override
  public Set<Established> establishes() {
    return Set.of(Established.GEOMETRY_FOUND);
  }

  @Override
  public int run(Compilation compilation) {
    List<Dim> tokenCounts = tokenCounts(compilation);
    Optional<Candidate> found = find(compilation, tokenCounts);
    Optional<VideoGeometry> given = compilation.options().video();
    if (given.isPresent()) {
      checkAgainst(given.get(), found, tokenCounts, compilation);
      boolean symbolic = found.isPresent() && !found.get().geometry().tokens().isConstant();
      // What the graph can tell of every size it may run at says more than one size.
      if (!symbolic) {
        compilation.setGeometry(given.get(), "--video");
        return 1;
      }
    }
    found.ifPresent(c -> compilation.setGeometry(c.geometry(), c.source()));
    return found.isPresent() ? 1 : 0;
  }

  /** Numbers of video tokens of the sites, the most frequent first. */
  private static List<Dim> tokenCounts(Compilation compilation) {
    Set<Dim> counts = new LinkedHashSet<>();
    for (Site site : compilation.sites()) {
      if (site.tokens().hasVideo()) {
        counts.add(site.tokens().video());
      } else if (site.kind() == SiteKind.SELF || site.kind() == SiteKind.JOINT) {
        counts.add(site.shape().queryTokens());
      }
    }
    return List.copyOf(counts);
  }

  private static Optional<Candidate> find(Compilation compilation, List<Dim> tokenCounts) {
    ValueFacts facts = compilation.facts();
    DataFlow flow = new DataFlow(compilation.model().graph(), facts);
    TokenOrigins origins = new TokenOrigins(flow, facts);
    Optional<Value> video = VideoInput.find(compilation.model().graph(), facts, origins);
    AreTokens areTokens =
        (value, axis) -> video.isEmpty() || origins.areTokens(value, axis, video.get());
    Optional<Candidate> best = Optional.empty();
    for (Dim tokens : tokenCounts) {
      for (Node node : compilation.model().graph().nodes()) {
        Optional<Candidate> candidate =
            node.is("Conv")
                ? patchEmbedding(node, tokens, facts)
                : node.is("Reshape") ? reshape(node, tokens, facts, areTokens) : Optional.empty();
        if (candidate.isPresent()
            && (best.isEmpty() || candidate.get().certainty() > best.get().certainty())) {
          best = candidate;
        }
      }
    }
    if (best.isEmpty() || best.get().certainty() < TABLE) {
      for (Dim tokens : tokenCounts) {
        Optional<Candidate> table = positionTable(compilation, tokens);
        if (table.isPresent()) {
          return table;
        }
      }
    }
    return best;
  }

  /** A table of positions with a row for each token: coordinates, or a rotary embedding. */
  private static Optional<Candidate> positionTable(Compilation compilation, Dim tokens) {
    if (!tokens.isConstant() || tokens.constant().getAsLong() > Integer.MAX_VALUE) {
      return Optional.empty();
    }
    int count = Math.toIntExact(tokens.constant().getAsLong());
    Model model = compilation.model();
    for (Value initializer : model.graph().initializers()) {
      Tensor tensor = initializer.constant().orElseThrow();
      boolean fits = Arrays.stream(tensor.dims()).filter(dim -> dim == count).count() == 1;
      if (!fits || tensor.type().bytes(tensor.elementCount()) > Integer.MAX_VALUE) {
        continue;
      }
      Tensor table = tensor.isExternal() ? ExternalData.of(model).load(tensor) : tensor;
      Optional<Candidate> found =
          PositionTable.extent(table, count)
              .map(
                  extent ->
                      new Candidate(extent, "the table of positions (" + initializer + ")", TABLE));
      if (found.isPresent()) {
        return found;
      }
    }
    return Optional.empty();
  }

  /** A convolution over frames, rows and columns, or over the rows and columns of each frame. */
  private static Optional<Candidate> patchEmbedding(Node node, Dim tokens, ValueFacts facts) {
    Optional<List<Dim>> output = facts.shape(node.output());
    if (output.isEmpty() || output.get().size() < 4 || output.get().size() > 5) {
      return Optional.empty();
    }
    List<Dim> dims = output.get();
    int rank = dims.size();
    Dim area = dims.get(rank - 2).times(dims.get(rank - 1));
    if (area.is(0)) {
      return Optional.empty();
    }
    Dim frames = rank == 5 ? dims.get(2) : tokens.floorDiv(area);
    VideoGeometry geometry = new VideoGeometry(frames, dims.get(rank - 2), dims.get(rank - 1));
    boolean fits =
        geometry.tokens().equals(tokens)
            // A size that the exporter has baked in says nothing against a symbolic one.
            || (rank == 5 && AxisMap.mayEqual(geometry.tokens(), tokens));
    return fits
        ? Optional.of(
            new Candidate(
                geometry,
                "the patch embedding (" + node + ")",
                geometry.tokens().equals(tokens) ? CONVOLUTION : POSSIBLE_CONVOLUTION))
        : Optional.empty();
  }

  /** A reshape between tokens and frames, rows and columns. */
  private static Optional<Candidate> reshape(
      Node node, Dim tokens, ValueFacts facts, AreTokens areTokens) {
    Value data = node.requiredInput(0);
    Optional<List<Dim>> from = facts.shape(data);
    Optional<List<Dim>> to = facts.shape(node.output());
    if (from.isEmpty() || to.isEmpty()) {
      return Optional.empty();
    }
    Optional<Candidate> tail =
        grid(
            to.get(),
            from.get(),
            tokens,
            axis -> areTokens.test(data, axis),
            "the un-patchify tail (" + node + ")");
    return tail.isPresent()
        ? tail
        : grid(
            from.get(),
            to.get(),
            tokens,
            axis -> areTokens.test(node.output(), axis),
            "the patchify Reshape (" + node + ")");
  }

  /** The axes of {@code split} that an axis of tokens in {@code joined} stands for. */
  private static Optional<Candidate> grid(
      List<Dim> split, List<Dim> joined, Dim tokens, IntPredicate areTokens, String source) {
    for (int axis = 0; axis < joined.size(); axis++) {
      if (!joined.get(axis).equals(tokens) || !areTokens.test(axis)) {
        continue;
      }
      Optional<AxisMap.Group> group = AxisMap.joined(split, joined, axis);
      if (group.isEmpty()) {
        continue;
      }
      List<Dim> axes = new ArrayList<>(group.get().of(split));
      int certainty = axes.size() == 3 ? THREE_AXES : TWO_AXES;
      if (axes.size() == 2) {
        axes.add(0, Dim.ONE);
      }
      // With a single row or column the axes may as well mean something else.
      if (axes.size() == 3 && !axes.get(1).is(1) && !axes.get(2).is(1)) {
        return Optional.of(
            new Candidate(
                new VideoGeometry(axes.get(0), axes.get(1), axes.get(2)), source, certainty));
      }
    }
    return Optional.empty();
  }

  private static void checkAgainst(
      VideoGeometry given,
      Optional<Candidate> found,
      List<Dim> tokenCounts,
      Compilation compilation) {
    if (found.isPresent()
        && found.get().geometry().tokens().constant().isPresent()
        && !found.get().geometry().equals(given)) {
      throw SparsifyException.usage(
          "--video "
              + given
              + " contradicts the graph: "
              + found.get().source()
              + " of "
              + compilation.file()
              + " gives "
              + found.get().geometry()
              + ". Leave --video out, or give that.");
    }
    long tokens = given.tokens().constant().orElseThrow();
    boolean fits = tokenCounts.isEmpty();
    for (Site site : compilation.sites()) {
      if (site.tokens().hasVideo()) {
        Dim video = site.tokens().video();
        fits |= !video.isConstant() || video.is(tokens);
      } else if (site.kind() == SiteKind.SELF || site.kind() == SiteKind.JOINT) {
        // Not known how many of them are video.
        OptionalLong all = site.shape().queryTokens().constant();
        fits |= all.isEmpty() || all.getAsLong() >= tokens;
      }
    }
    if (!fits) {
      throw SparsifyException.usage(
          "--video "
              + given
              + " is "
              + tokens
              + " tokens, but the attention sites of "
              + compilation.file()
              + " have "
              + tokenCounts
              + " video tokens. Give latent frames x token rows x token columns, after patching.");
    }
  }
}
