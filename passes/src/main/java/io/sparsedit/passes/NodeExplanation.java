package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.rules.Explanation;
import io.sparsedit.compiler.rules.match.Failure;
import io.sparsedit.compiler.rules.match.Match;
import io.sparsedit.compiler.rules.match.Rule;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Why a node is, or is not, part of an attention site.
 *
 * @param node the node that was asked about; of a site the last one
 * @param site the site that it is part of
 * @param match where a rule fits: the site's, or one that was not taken for attention
 * @param names what the names of the matching rule stand for
 * @param rejection why {@code match} is no attention, or empty
 * @param unknownShape which shape around it is not known, because of which operator
 * @param failures of each rule the attempt that came furthest, closest first
 */
public record NodeExplanation(
    Node node,
    Optional<Site> site,
    Optional<Match> match,
    Map<String, String> names,
    String rejection,
    Optional<String> unknownShape,
    List<Failure> failures) {

  public NodeExplanation {
    failures = List.copyOf(failures);
  }

  static NodeExplanation ofSite(Site site, Node node, Map<String, String> names) {
    return new NodeExplanation(
        node,
        Optional.of(site),
        Optional.of(site.recognition().match()),
        names,
        "",
        Optional.empty(),
        List.of());
  }

  static NodeExplanation ofRejection(Node node, Rejection rejection, Map<String, String> names) {
    return new NodeExplanation(
        node,
        Optional.empty(),
        Optional.of(rejection.match()),
        names,
        rejection.reason(),
        Optional.empty(),
        List.of());
  }

  /** Of a node that is in no match that was kept. */
  static NodeExplanation ofAttempts(
      Node node, Explanation explanation, Optional<String> unknownShape) {
    List<Failure> best = new ArrayList<>();
    Set<Rule> seen = new HashSet<>();
    for (Failure failure : explanation.failures()) {
      if (seen.add(failure.rule())) {
        best.add(failure);
      }
    }
    Optional<Match> match = explanation.matches().stream().findFirst();
    return new NodeExplanation(
        node,
        Optional.empty(),
        match,
        Map.of(),
        match.isPresent() ? "another match has taken some of its nodes" : "",
        unknownShape,
        best);
  }
}
