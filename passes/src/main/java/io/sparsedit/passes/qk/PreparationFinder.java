package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.rules.RuleSet;
import io.sparsedit.compiler.rules.syntax.Source;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import io.sparsedit.passes.functions.NormScope;
import io.sparsedit.passes.functions.RotatedTokens;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/**
 * Finds the norms and rotary embeddings in front of Q and K.
 *
 * <p>The lanes of one head of one token of Q, as symbols, are followed back. Among the tensors on
 * the way that hold whole heads, the farthest is taken of which Q is a rotation, or which Q is as
 * it stands; if a norm made it, that is the QK-norm. Where tokens come from different tensors, or
 * some are rotated and others are not, the walk splits the sequence and takes each run by itself.
 */
final class PreparationFinder {
  private static final String RULES = "/rules/qknorm.rules";
  private static final int MAX_REGIONS = 8;
  private static final int MAX_VISITED = 200_000;

  private final Graph graph;
  private final ValueFacts facts;
  private final TableSources tables;
  private final Map<Value, NormMatch> norms;
  private final Movement movement;
  private final ElementTrace trace;
  private final RopeMatcher matcher;
  private final Map<Node, Integer> order = new HashMap<>();

  /**
   * A finder.
   *
   * @param opsets versions of operator sets by domain
   * @param isFixed whether a value depends on no input
   */
  PreparationFinder(
      Graph graph, ValueFacts facts, Map<String, Long> opsets, Predicate<Value> isFixed) {
    this.graph = graph;
    this.facts = facts;
    this.tables = new TableSources(graph);
    this.movement = new Movement(facts);
    this.norms = new NormFinder(facts, isFixed).find(graph, rules(), opsets);
    // A factor for each token and lane may be a weight or a table: the walk goes on behind it.
    this.trace =
        new ElementTrace(
            facts,
            norms.values().stream()
                .filter(norm -> !norm.wide())
                .map(NormMatch::output)
                .collect(Collectors.toSet()));
    this.matcher = new RopeMatcher(trace, facts);
    for (Node node : graph.nodes()) {
      order.put(node, order.size());
    }
  }

  /** The rules for norms. */
  static RuleSet rules() {
    try (InputStream in = PreparationFinder.class.getResourceAsStream(RULES)) {
      if (in == null) {
        throw new IllegalStateException(RULES + " is not on the class path");
      }
      String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      return RuleSet.load(List.of(new Source("qknorm.rules", text)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A tensor that a run of tokens is made of. */
  private record Origin(HeadTensor tensor, Optional<Rotation> rotation) {}

  /** A run of tokens with all tensors that it may be said to be made of, farthest first. */
  private record Run(Region region, List<Origin> origins) {}

  /**
   * What is prepared of Q or K: itself, or the key heads that it repeats.
   *
   * @param value Q or K, {@code [B,H,S,D]}; empty where sizes are not known that must be
   */
  Optional<HeadView> view(Value value) {
    Optional<HeadView> whole = HeadView.of(value, facts);
    return whole
        .flatMap(view -> view.repeated(movement, facts))
        .filter(repeated -> position(repeated.value()) >= 0)
        .or(() -> whole);
  }

  /**
   * The parts of Q or K; none if nothing can be said.
   *
   * @param view what is prepared
   * @param content the graph inputs that the tokens themselves come from: tables do not depend on
   *     them
   */
  List<FoundPart> find(HeadView view, Set<Value> content) {
    Head head = view.head();
    Deque<Region> open = new ArrayDeque<>();
    open.add(new Region(Dim.ZERO, head.tokens()));
    List<Run> runs = new ArrayList<>();
    while (!open.isEmpty()) {
      if (open.size() + runs.size() > MAX_REGIONS) {
        return List.of();
      }
      Region region = open.pop();
      trace.forget();
      try {
        runs.add(new Run(region, origins(view, region, content)));
      } catch (SplitRegionException split) {
        Dim first = split.at().minus(region.start());
        open.push(new Region(split.at(), region.size().minus(first)));
        open.push(new Region(region.start(), first));
      }
    }
    return joined(runs, head.tokens());
  }

  // ---- one run ----------------------------------------------------------------------------------

  private List<Origin> origins(HeadView view, Region region, Set<Value> content) {
    Head head = view.head();
    List<Element> lanes = view.lanes(region);
    Map<Value, Set<List<Index>>> visited = visited(lanes);
    List<HeadTensor> candidates = new ArrayList<>();
    visited.forEach((v, used) -> HeadTensor.of(v, used, head, facts).ifPresent(candidates::add));
    candidates.sort(Comparator.comparingInt(candidate -> position(candidate.value())));
    List<Origin> origins = new ArrayList<>();
    for (HeadTensor candidate : candidates) {
      List<List<Index>> sources =
          sources(candidate, visited.getOrDefault(candidate.value(), Set.of()), head);
      matcher
          .match(lanes, candidate.value(), sources, downstream(candidate.value(), view.value()))
          .filter(outcome -> isTable(outcome.rotation(), content))
          .ifPresent(outcome -> origins.add(new Origin(candidate, outcome.rotation())));
    }
    return origins;
  }

  private boolean isTable(Optional<Rotation> rotation, Set<Value> content) {
    return rotation.isEmpty()
        || RopeMatcher.tables(rotation.get()).stream()
            .noneMatch(table -> tables.isMadeOfAny(table, content));
  }

  private int position(Value value) {
    return value.producer().map(node -> order.getOrDefault(node, -1)).orElse(-1);
  }

  /** All elements on the way, by tensor. */
  private Map<Value, Set<List<Index>>> visited(List<Element> lanes) {
    Map<Value, Set<List<Index>>> visited = new LinkedHashMap<>();
    Deque<Element> open = new ArrayDeque<>(lanes);
    int count = 0;
    while (!open.isEmpty() && count++ < MAX_VISITED) {
      Element element = open.pop();
      if (!visited.computeIfAbsent(element.value(), v -> new LinkedHashSet<>()).add(element.at())) {
        continue;
      }
      Step step = trace.of(element);
      if (step instanceof Step.Same same) {
        open.push(same.from());
      } else if (step instanceof Step.Signed signed) {
        open.push(signed.from());
      } else if (step instanceof Step.Sum sum) {
        open.push(sum.left());
        open.push(sum.right());
      } else if (step instanceof Step.Product product) {
        open.push(product.left());
        open.push(product.right());
      } else if (step instanceof Step.Rotated rotated) {
        rotated.elements().forEach(open::push);
      }
    }
    return visited;
  }

  /** The elements of a tensor, by lane. */
  private static List<List<Index>> sources(
      HeadTensor tensor, Collection<List<Index>> used, Head head) {
    List<List<Index>> sources = new ArrayList<>();
    Map<Long, List<Index>> byLane = new HashMap<>();
    used.forEach(at -> byLane.put(tensor.laneOf(at), at));
    for (long lane = 0; lane < head.dim(); lane++) {
      sources.add(byLane.getOrDefault(lane, List.of()));
    }
    return sources;
  }

  /** What depends on a value, as far as another one is computed. */
  private Set<Value> downstream(Value from, Value to) {
    int end = position(to);
    Set<Value> found = new HashSet<>();
    Deque<Value> open = new ArrayDeque<>();
    open.add(from);
    while (!open.isEmpty()) {
      for (Value.Use use : open.pop().uses()) {
        if (order.getOrDefault(use.node(), Integer.MAX_VALUE) <= end) {
          for (Value output : use.node().outputs()) {
            if (found.add(output)) {
              open.push(output);
            }
          }
        }
      }
    }
    return found;
  }

  // ---- runs joined ------------------------------------------------------------------------------

  private List<FoundPart> joined(List<Run> runs, Dim total) {
    List<FoundPart> parts = new ArrayList<>();
    int next = 0;
    while (next < runs.size()) {
      Optional<FoundPart> part = Optional.empty();
      int end = next;
      for (Origin origin : runs.get(next).origins()) {
        List<Origin> same = sameTensor(runs, next, origin);
        part = part(runs.subList(next, next + same.size()), same, total);
        if (part.isPresent()) {
          end = next + same.size();
          break;
        }
      }
      if (part.isEmpty()) {
        return List.of();
      }
      parts.add(part.get());
      next = end;
    }
    return parts;
  }

  /** The origins of a run and of those after it, as long as they are of one tensor. */
  private static List<Origin> sameTensor(List<Run> runs, int first, Origin origin) {
    List<Origin> same = new ArrayList<>(List.of(origin));
    for (int i = first + 1; i < runs.size(); i++) {
      Optional<Origin> further =
          runs.get(i).origins().stream()
              .filter(other -> other.tensor().equals(origin.tensor()))
              .findFirst();
      if (further.isEmpty()) {
        break;
      }
      same.add(further.get());
    }
    return same;
  }

  private Optional<FoundPart> part(List<Run> runs, List<Origin> origins, Dim total) {
    HeadTensor tensor = origins.get(0).tensor();
    Dim start = runs.get(0).region().start();
    Dim end = runs.get(runs.size() - 1).region().end();
    Dim tokens = end.minus(start);
    Dim there =
        facts
            .shape(tensor.value())
            .map(dims -> dims.get(Math.max(0, tensor.tokenAxis())))
            .orElse(Dim.ZERO);
    // Sizes may be baked in on one side only; where there is but one part they mean the same.
    boolean all = start.is(0) && tokens.equals(total);
    boolean whole = there.equals(tokens) || (all && !there.isAtLeast(tokens.plus(1)));
    if (!whole || !start.plus(tensor.offset()).is(0)) {
      return Optional.empty();
    }
    Optional<NormMatch> norm =
        Optional.ofNullable(norms.get(tensor.value()))
            .filter(found -> isForAttentionAlone(found.output()) && fits(found, tensor));
    int first = 0;
    while (first < origins.size() && origins.get(first).rotation().isEmpty()) {
      first++;
    }
    if (first == origins.size()) {
      Prepared.Part fact =
          new Prepared.Part(tokens, norm.map(n -> fact(n, tensor)), Optional.empty());
      return Optional.of(new FoundPart(fact, start, tensor, norm, Optional.empty(), start));
    }
    Optional<Rotation> rotation = origins.get(first).rotation();
    int last = first;
    while (last + 1 < origins.size() && origins.get(last + 1).rotation().equals(rotation)) {
      last++;
    }
    boolean fromStart = first == 0;
    boolean toEnd = last == origins.size() - 1;
    boolean othersPlain =
        origins.subList(last + 1, origins.size()).stream().allMatch(o -> o.rotation().isEmpty());
    if (!(fromStart || toEnd) || !othersPlain) {
      return Optional.empty();
    }
    Region from = runs.get(first).region();
    Dim rotated = runs.get(last).region().end().minus(from.start());
    RotatedTokens which =
        fromStart ? (toEnd ? RotatedTokens.ALL : RotatedTokens.FIRST) : RotatedTokens.LAST;
    Prepared.Part fact =
        new Prepared.Part(
            tokens, norm.map(n -> fact(n, tensor)), rotation.map(r -> fact(r, which, rotated)));
    return Optional.of(new FoundPart(fact, start, tensor, norm, rotation, from.start()));
  }

  private static QkNorm fact(NormMatch norm, HeadTensor tensor) {
    boolean hidden = tensor.axes().contains(HeadTensor.Axis.HEAD_AND_LANE);
    return new QkNorm(
        norm.kind(),
        hidden ? NormScope.HIDDEN : NormScope.HEAD,
        norm.guard(),
        norm.weight().isPresent(),
        norm.bias().isPresent());
  }

  private Rope fact(Rotation rotation, RotatedTokens which, Dim tokens) {
    Set<Value> values = RopeMatcher.tables(rotation);
    boolean perHead =
        rotation.cos().stream().anyMatch(PreparationFinder::hasHead)
            || rotation.sin().stream().anyMatch(PreparationFinder::hasHead);
    return new Rope(
        rotation.form(),
        rotation.firstLane(),
        rotation.lanes(),
        which,
        tokens,
        perHead,
        tables.of(values),
        tables.inputs(values));
  }

  private static boolean hasHead(TableLane lane) {
    return lane.element().at().stream().anyMatch(PreparationFinder::hasHead);
  }

  private static boolean hasHead(Index index) {
    if (index instanceof Index.Along along) {
      return along.symbol().name().equals(Symbol.HEAD);
    }
    return index instanceof Index.Joined joined
        && joined.digits().stream().anyMatch(digit -> hasHead(digit.index()));
  }

  /** Whether the lanes of a norm's weights are the lanes of heads. */
  private boolean fits(NormMatch norm, HeadTensor tensor) {
    int rank = tensor.axes().size();
    HeadTensor.Axis last = tensor.axes().get(rank - 1);
    if (last != HeadTensor.Axis.LANE && last != HeadTensor.Axis.HEAD_AND_LANE) {
      return false;
    }
    List<Value> affine = new ArrayList<>(norm.weight().map(NormWeight::factors).orElse(List.of()));
    norm.bias().ifPresent(affine::add);
    for (Value value : affine) {
      List<Dim> dims = facts.shape(value).orElse(List.of());
      for (int i = 0; i < dims.size() - 1; i++) {
        if (!dims.get(i).is(1)
            && tensor.axes().get(rank - dims.size() + i) != HeadTensor.Axis.HEAD) {
          return false;
        }
      }
    }
    return true;
  }

  /** Whether all that is made of a value are Q and K of attention. */
  private boolean isForAttentionAlone(Value value) {
    Set<Value> seen = new HashSet<>();
    Deque<Value> open = new ArrayDeque<>();
    open.add(value);
    while (!open.isEmpty()) {
      Value next = open.pop();
      if (next.isGraphOutput()) {
        return false;
      }
      for (Value.Use use : next.uses()) {
        Node node = use.node();
        boolean attention = node.opType().equals("Attention") && !node.domain().isEmpty();
        if (attention && use.index() > 1) {
          return false;
        }
        if (attention || node.is("Shape") || node.is("Size")) {
          continue;
        }
        if (node.graph() != graph) {
          return false;
        }
        for (Value output : node.outputs()) {
          if (seen.add(output)) {
            open.push(output);
          }
        }
      }
    }
    return true;
  }
}
