package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import java.util.Optional;

/** What attention may do that no plan expresses: such a site is found, and stays dense. */
final class DenseOnly {
  private static final int PAST = 4;
  private static final int VALID_KEYS = 5;

  /** STRING: what the keys are, where that is not the order of the queries. */
  static final String KEY_TOKENS = "key_tokens";

  /** STRING: what the queries are, where there is {@link #KEY_TOKENS}. */
  static final String QUERY_TOKENS = "query_tokens";

  /** INT: 1 where scores or probabilities are rounded to few bits. */
  static final String ROUNDED = "rounded";

  private DenseOnly() {}

  /**
   * Why a site must stay dense, if it must.
   *
   * @param attention its canonical node
   * @param main the graph that the compiler rewrites
   */
  static Optional<String> why(Node attention, Graph main) {
    if (attention.graph() != main) {
      String owner = Subgraphs.owner(attention.graph()).map(Node::toString).orElse("a node");
      return Optional.of(
          "it is inside the body of " + owner + "; only the main graph is made sparse");
    }
    if (attention.intAttribute("is_causal", 0) != 0) {
      return Optional.of("it is causal: each token sees only those before it");
    }
    float cap = attention.floatAttribute("softcap", 0);
    if (cap != 0) {
      return Optional.of("its scores are capped by tanh (softcap " + cap + ")");
    }
    if (attention.intAttribute(ROUNDED, 0) != 0) {
      return Optional.of(
          "its scores or probabilities are quantised: compile the model before it is quantised, or"
              + " quantise it without the matrix products of its attention");
    }
    String keys = attention.stringAttribute(KEY_TOKENS, "");
    if (!keys.isEmpty()) {
      return Optional.of(
          "its keys are in another order ("
              + keys
              + ") than its queries ("
              + attention.stringAttribute(QUERY_TOKENS, "")
              + ")");
    }
    if (attention.input(PAST).isPresent()) {
      return Optional.of("it reads a cache of keys and values");
    }
    if (attention.input(VALID_KEYS).isPresent()) {
      return Optional.of("it is told how many keys count (nonpad_kv_seqlen)");
    }
    return Optional.empty();
  }
}
