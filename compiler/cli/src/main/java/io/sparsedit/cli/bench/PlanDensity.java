package io.sparsedit.cli.bench;

import com.fasterxml.jackson.databind.JsonNode;
import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.Session;
import io.sparsedit.runtime.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * What the plan of a site keeps, measured on the plan in a session's state: kept (query, key) pairs
 * over all pairs, both of video tokens.
 *
 * @param site the site's index
 * @param mean over batch and heads
 * @param least the least dense head's
 * @param most the densest head's
 */
record PlanDensity(int site, double mean, double least, double most) {
  private static final String KEEP = "keep";
  private static final String QUERY_OFFSETS = "query_offsets";
  private static final String KEY_OFFSETS = "key_offsets";
  private static final int WORD = 32;

  /** Where the segment of the text tokens stands among a head's segments. */
  private enum Text {
    NONE,
    FIRST,
    LAST
  }

  /**
   * Measures the sites whose plans are in the state, with the offsets of their segments.
   *
   * @param description the bundle's {@code bundle.json}
   */
  static List<PlanDensity> of(Session session, Bundle bundle, JsonNode description) {
    List<PlanDensity> densities = new ArrayList<>();
    for (Bundle.Site site : bundle.sites()) {
      Map<String, Tensor> plan = new LinkedHashMap<>();
      for (Bundle.StateTensor tensor : bundle.state()) {
        boolean wanted = List.of(KEEP, QUERY_OFFSETS, KEY_OFFSETS).contains(tensor.name());
        if (tensor.site() == site.index() && wanted) {
          plan.put(tensor.name(), session.copyState(0, tensor));
        }
      }
      of(site.index(), plan, text(site, description)).ifPresent(densities::add);
    }
    return densities;
  }

  private static Text text(Bundle.Site site, JsonNode description) {
    JsonNode geometry = description.path("geometry");
    if (!site.kind().equals("joint") || geometry.path("textTokens").asInt() == 0) {
      return Text.NONE;
    }
    return geometry.path("textPosition").asText().equals("first") ? Text.FIRST : Text.LAST;
  }

  private static Optional<PlanDensity> of(int site, Map<String, Tensor> plan, Text text) {
    Tensor keep = plan.get(KEEP);
    Tensor queries = plan.get(QUERY_OFFSETS);
    Tensor keys = plan.get(KEY_OFFSETS);
    if (keep == null || queries == null || keys == null) {
      return Optional.empty();
    }
    int rows = (int) keep.dims()[2];
    int words = (int) keep.dims()[3];
    int heads = keep.elementCount() / (rows * words);
    double[] densities =
        IntStream.range(0, heads)
            .mapToDouble(
                head ->
                    density(
                        sizes(queries, head, text),
                        sizes(keys, head, text),
                        (query, key) -> {
                          int word = (head * rows + query) * words + key / WORD;
                          return ((int) keep.get(word) >>> (key % WORD) & 1) != 0;
                        }))
            .toArray();
    var summary =
        IntStream.range(0, heads).mapToDouble(head -> densities[head]).summaryStatistics();
    return Optional.of(
        new PlanDensity(site, summary.getAverage(), summary.getMin(), summary.getMax()));
  }

  /** The sizes of a head's segments; that of the text counts as empty. */
  private static long[] sizes(Tensor offsets, int head, Text text) {
    int count = (int) offsets.dims()[2] - 1;
    long[] sizes = new long[count];
    for (int segment = 0; segment < count; segment++) {
      int at = head * (count + 1) + segment;
      sizes[segment] = (long) offsets.get(at + 1) - (long) offsets.get(at);
    }
    if (text == Text.FIRST) {
      sizes[0] = 0;
    } else if (text == Text.LAST) {
      sizes[count - 1] = 0;
    }
    return sizes;
  }

  /** Whether a query segment visits a key segment. */
  private interface Visits {
    boolean visits(int query, int key);
  }

  private static double density(long[] queries, long[] keys, Visits plan) {
    double kept = 0;
    double all = 0;
    for (int query = 0; query < queries.length; query++) {
      for (int key = 0; key < keys.length; key++) {
        double pairs = (double) queries[query] * keys[key];
        all += pairs;
        kept += plan.visits(query, key) ? pairs : 0;
      }
    }
    return all == 0 ? 0 : kept / all;
  }
}
