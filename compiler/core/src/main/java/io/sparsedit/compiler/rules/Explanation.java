package io.sparsedit.compiler.rules;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.rules.match.Failure;
import io.sparsedit.compiler.rules.match.Match;
import java.util.List;

/**
 * Why a node is, or is not, part of a match.
 *
 * @param node the node asked about
 * @param matches matches that contain it
 * @param failures attempts that did not match, those that come closest first; an attempt that
 *     matched the node itself before it failed comes before one that did not
 */
public record Explanation(Node node, List<Match> matches, List<Failure> failures) {
  public Explanation {
    matches = List.copyOf(matches);
    failures = List.copyOf(failures);
  }

  /** Whether some rule matches around the node. */
  public boolean isMatched() {
    return !matches.isEmpty();
  }

  /** Some lines: the matches, or the closest attempts with their reasons. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder().append(node).append('\n');
    for (Match match : matches) {
      text.append("  is part of ").append(match).append('\n');
    }
    if (matches.isEmpty() && failures.isEmpty()) {
      text.append("  no rule starts at it or at a node that reads it\n");
    }
    for (Failure failure : failures) {
      text.append("  ").append(failure).append('\n');
    }
    return text.toString();
  }
}
