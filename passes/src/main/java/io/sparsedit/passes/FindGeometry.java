package io.sparsedit.passes;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Finds the extent of the video in tokens.
 *
 * <pre>
 *   patch embedding   Conv, kernel = stride, [B,C,F,H,W] -> [B,D,f,h,w]     f x h x w
 *   un-patchify tail  Reshape [B,f,h,w,p..,C] -> Transpose -> Reshape -> output   f x h x w
 * </pre>
 *
 * A candidate counts only if f·h·w is the token count of some site, or a part of it (joint sites
 * have text tokens too). What the user gives with {@code --video} must agree with both.
 */
final class FindGeometry implements Pass<Compilation> {
  private record Candidate(VideoGeometry geometry, String source) {}

  @Override
  public String name() {
    return "find geometry";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.SITES_RECOGNISED);
  }

  @Override
  public Set<Established> establishes() {
    return Set.of(Established.GEOMETRY_FOUND);
  }

  @Override
  public int run(Compilation compilation) {
    List<Dim> tokenCounts =
        compilation.sites().stream()
            .filter(site -> site.shape().queryTokens().equals(site.shape().keyTokens()))
            .map(site -> site.shape().queryTokens())
            .distinct()
            .toList();
    List<Candidate> candidates = new ArrayList<>();
    candidates.addAll(patchEmbeddings(compilation));
    candidates.addAll(unpatchifyTails(compilation));
    Optional<Candidate> found =
        candidates.stream().filter(c -> tokenCounts.contains(c.geometry().tokens())).findFirst();
    if (found.isEmpty()) {
      found = candidates.stream().filter(c -> isPartOfAny(c, tokenCounts)).findFirst();
    }
    Optional<VideoGeometry> given = compilation.options().video();
    if (given.isPresent()) {
      checkAgainst(given.get(), found, tokenCounts, compilation);
      compilation.setGeometry(given.get(), "--video");
      return 1;
    }
    found.ifPresent(c -> compilation.setGeometry(c.geometry(), c.source()));
    return found.isPresent() ? 1 : 0;
  }

  private static boolean isPartOfAny(Candidate candidate, List<Dim> tokenCounts) {
    Dim video = candidate.geometry().tokens();
    for (Dim tokens : tokenCounts) {
      Dim rest = tokens.minus(video);
      if (rest.constant().isEmpty() || rest.constant().getAsLong() > 0) {
        return true;
      }
    }
    return false;
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
    for (Dim count : tokenCounts) {
      fits |= count.constant().isEmpty() || count.constant().getAsLong() >= tokens;
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
              + ". Give latent frames x token rows x token columns, after patching.");
    }
  }

  /** Convolutions whose kernel is their stride, over three spatial axes. */
  private static List<Candidate> patchEmbeddings(Compilation compilation) {
    ValueFacts facts = compilation.facts();
    List<Candidate> found = new ArrayList<>();
    for (Node node : compilation.model().graph().nodes()) {
      if (!node.is("Conv")) {
        continue;
      }
      Optional<List<Dim>> weight = facts.shape(node.requiredInput(1));
      Optional<List<Dim>> output = facts.shape(node.output());
      Optional<List<Long>> strides = node.intsAttribute("strides");
      if (weight.isEmpty() || output.isEmpty() || strides.isEmpty() || weight.get().size() != 5) {
        continue;
      }
      List<Dim> kernel = weight.get().subList(2, 5);
      if (!kernel.equals(strides.get().stream().map(Dim::of).toList())) {
        continue;
      }
      List<Dim> dims = output.get();
      found.add(
          new Candidate(
              new VideoGeometry(dims.get(2), dims.get(3), dims.get(4)),
              "the patch embedding (" + node + ")"));
    }
    return found;
  }

  /** Reshapes near the outputs that split tokens into frames, rows, columns and patch axes. */
  private static List<Candidate> unpatchifyTails(Compilation compilation) {
    ValueFacts facts = compilation.facts();
    Graph graph = compilation.model().graph();
    List<Candidate> found = new ArrayList<>();
    Set<Value> seen = new HashSet<>();
    Deque<Value> work = new ArrayDeque<>(graph.outputs());
    while (!work.isEmpty()) {
      Value value = work.poll();
      Optional<Node> producer = value.producer();
      if (!seen.add(value) || producer.isEmpty()) {
        continue;
      }
      Node node = producer.get();
      boolean movesData =
          node.is("Reshape")
              || node.is("Transpose")
              || node.is("Cast")
              || node.is("Identity")
              || node.is("Slice")
              || node.is("Squeeze")
              || node.is("Unsqueeze");
      if (!movesData) {
        continue;
      }
      Optional<List<Dim>> shape = facts.shape(value);
      if (node.is("Reshape") && shape.isPresent() && shape.get().size() >= 6) {
        List<Dim> dims = shape.get();
        found.add(
            new Candidate(
                new VideoGeometry(dims.get(1), dims.get(2), dims.get(3)),
                "the un-patchify tail (" + node + ")"));
      }
      work.add(node.requiredInput(0));
    }
    return found;
  }
}
