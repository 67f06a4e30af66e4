package io.sparsedit.passes;

import io.sparsedit.compiler.pass.PassRecord;
import io.sparsedit.compiler.rules.MatchTrace;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * What was found in a model.
 *
 * @param file the model's file
 * @param producer the tool that wrote it, with its version
 * @param opset version of the default operator set
 * @param operators number of nodes by operator, as the exporter wrote them
 * @param sites all attention sites in graph order
 * @param notUnderstood softmaxes that are not part of a site and linear attention, with the reason
 * @param geometry extent of the video, if it is known
 * @param geometrySource how it became known
 * @param jointTokens tokens of the first joint site, if there is one
 * @param preset the model whose published settings hold where the user says nothing
 * @param passes what each pass did
 * @param trace what each rule did, in the order in which equal benefit is tried
 */
public record Inspection(
    Path file,
    String producer,
    long opset,
    Map<String, Integer> operators,
    List<Site> sites,
    List<NotUnderstood> notUnderstood,
    Optional<VideoGeometry> geometry,
    String geometrySource,
    Optional<TokenLayout> jointTokens,
    Preset preset,
    List<PassRecord> passes,
    List<MatchTrace.RuleStats> trace) {

  /** Nodes that are named where one reason holds for several. */
  private static final int MAX_NAMED = 3;

  public Inspection {
    sites = List.copyOf(sites);
    notUnderstood = List.copyOf(notUnderstood);
    passes = List.copyOf(passes);
    trace = List.copyOf(trace);
  }

  /**
   * A softmax that is not part of a site.
   *
   * @param node the softmax
   * @param reason why no rule takes it for attention
   */
  public record NotUnderstood(String node, String reason) {}

  /** The reasons why something is not taken for attention, each with what it holds for. */
  public Map<String, String> notUnderstoodByReason() {
    return byReason(notUnderstood, NotUnderstood::reason, NotUnderstood::node);
  }

  /** The sites that stay dense, those with the same reason named together. */
  Map<String, String> sitesByReason() {
    return byReason(
        sites.stream().filter(site -> !site.sparsify()).toList(), Site::reason, Site::name);
  }

  private static <T> Map<String, String> byReason(
      List<T> items, Function<T, String> reason, Function<T, String> name) {
    Map<String, List<String>> names = new LinkedHashMap<>();
    for (T item : items) {
      names.computeIfAbsent(reason.apply(item), r -> new ArrayList<>()).add(name.apply(item));
    }
    Map<String, String> together = new LinkedHashMap<>();
    names.forEach((why, all) -> together.put(why, together(all)));
    return together;
  }

  private static String together(List<String> nodes) {
    int shown = nodes.size() > MAX_NAMED ? MAX_NAMED - 1 : nodes.size();
    String names = String.join(", ", nodes.subList(0, shown));
    return nodes.size() > shown ? names + " and " + (nodes.size() - shown) + " more" : names;
  }

  /** Number of nodes as the exporter wrote them. */
  public int nodeCount() {
    return operators.values().stream().mapToInt(Integer::intValue).sum();
  }
}
