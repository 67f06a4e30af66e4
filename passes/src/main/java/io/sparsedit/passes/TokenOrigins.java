package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/**
 * Where the tokens along an axis come from.
 *
 * <p>An axis is followed upstream through everything that keeps tokens apart: linear layers, norms,
 * head splits, rotary embeddings, and attention itself, whose output tokens are its query tokens.
 * So text stays text although it has looked at the video. The walk ends at graph inputs, and where
 * tokens are made from pixels.
 */
final class TokenOrigins {
  /**
   * Tokens of one origin.
   *
   * @param inputs the graph inputs that they come from; none if they are learned
   * @param tokens how many
   */
  record Segment(Set<Value> inputs, Dim tokens) {
    Segment {
      inputs = Set.copyOf(inputs);
    }

    private Segment with(Dim count) {
      return new Segment(inputs, count);
    }
  }

  private record Axis(Value value, int axis) {}

  /** The input of an attention operator that holds v. */
  private static final int VALUES = 2;

  /** Operators between joining batch and tokens and splitting them again. */
  private static final int MAX_STEPS = 32;

  private final DataFlow flow;
  private final ValueFacts facts;
  private final Map<Axis, List<Segment>> known = new HashMap<>();
  private final List<Axis> missing = new ArrayList<>();

  TokenOrigins(DataFlow flow, ValueFacts facts) {
    this.flow = flow;
    this.facts = facts;
  }

  /** The segments along an axis of a value, in order. */
  List<Segment> of(Value value, int axis) {
    Deque<Axis> work = new ArrayDeque<>();
    Axis wanted = new Axis(value, axis);
    work.push(wanted);
    while (!work.isEmpty()) {
      Axis next = work.element();
      if (known.containsKey(next)) {
        work.pop();
        continue;
      }
      missing.clear();
      List<Segment> segments = segments(next);
      if (missing.isEmpty()) {
        known.put(next, segments);
        work.pop();
      } else {
        missing.forEach(work::push);
      }
    }
    return known.getOrDefault(wanted, List.of());
  }

  /**
   * Whether an axis may be one of tokens of the input: it comes from there, or the whole value is
   * fixed, as a table of positions is. What a weight gives its size holds channels or heads.
   */
  boolean areTokens(Value value, int axis, Value input) {
    return flow.isFixed(value)
        || of(value, axis).stream().anyMatch(segment -> segment.inputs().contains(input));
  }

  /** What is known of an axis; if nothing is yet, the question is noted. */
  private List<Segment> get(Value value, int axis) {
    Axis key = new Axis(value, axis);
    List<Segment> segments = known.get(key);
    if (segments == null) {
      missing.add(key);
      return List.of();
    }
    return segments;
  }

  private List<Segment> segments(Axis at) {
    Value value = at.value();
    Optional<List<Dim>> shape = facts.shape(value);
    if (shape.isEmpty() || at.axis() >= shape.get().size()) {
      return everything(value, Dim.unknown(value.name() + "." + at.axis()));
    }
    Dim tokens = shape.get().get(at.axis());
    if (flow.isFixed(value)) {
      return List.of(new Segment(Set.of(), tokens));
    }
    Optional<Node> producer = value.producer();
    if (producer.isEmpty()) {
      return BodyInput.of(value)
          .map(input -> throughBody(input, value, at.axis(), tokens))
          .orElseGet(() -> List.of(new Segment(Set.of(value), tokens)));
    }
    return through(producer.get(), value, at.axis(), tokens);
  }

  private List<Segment> through(Node node, Value value, int axis, Dim tokens) {
    if (isAttention(node) && node.inputCount() > 0) {
      if (axis < rank(node.requiredInput(0)) - 1) {
        return get(node.requiredInput(0), axis);
      }
      // Channels are those of the values.
      return node.input(VALUES)
              .filter(v -> dim(v, axis).filter(tokens::equals).isPresent())
              .isPresent()
          ? get(node.requiredInput(VALUES), axis)
          : everything(value, tokens);
    }
    if (!node.domain().isEmpty()) {
      return aligned(node, value, axis, tokens);
    }
    return switch (node.opType()) {
      case "MatMul" -> throughMatMul(node, value, axis, tokens);
      case "Einsum" -> throughEinsum(node, value, axis, tokens);
      case "If" -> throughBranches(node, value, axis);
      case "Loop" -> throughLoop(node, value, axis, tokens);
      case "Gemm" -> throughGemm(node, value, axis, tokens);
      case "Transpose" -> throughTranspose(node, axis);
      case "Reshape", "Flatten", "Squeeze", "Unsqueeze" ->
          throughReshape(node, value, axis, tokens);
      case "Concat" -> throughConcat(node, value, axis, tokens);
      case "Slice" -> throughSlice(node, axis, tokens);
      case "Split" -> throughSplit(node, value, axis, tokens);
      case "Gather" -> throughGather(node, axis, tokens);
      case "ScatterND", "ScatterElements" -> throughScatter(node, value, axis, tokens);
      case "Pad" -> throughPad(node, axis, tokens);
      case "Expand", "Tile" -> throughExpand(node, value, axis, tokens);
      case "Conv", "ConvTranspose" -> everything(value, tokens);
      default ->
          node.opType().startsWith("Reduce") && axis < rank(node.requiredInput(0))
              ? throughReduction(node, value, axis, tokens)
              : aligned(node, value, axis, tokens);
    };
  }

  private static boolean isAttention(Node node) {
    return node.opType().endsWith("Attention");
  }

  /** All that the value depends on, as one segment. */
  private List<Segment> everything(Value value, Dim tokens) {
    return List.of(new Segment(flow.graphInputs(List.of(value)), tokens));
  }

  private int rank(Value value) {
    return facts.shape(value).map(List::size).orElse(0);
  }

  private Optional<Dim> dim(Value value, int axis) {
    return facts.shape(value).filter(dims -> axis >= 0 && axis < dims.size()).map(d -> d.get(axis));
  }

  private List<Segment> throughMatMul(Node node, Value value, int axis, Dim tokens) {
    int rank = rank(value);
    Value left = node.requiredInput(0);
    Value right = node.requiredInput(1);
    if (axis == rank - 2 && rank(left) >= 2) {
      return get(left, rank(left) - 2);
    }
    if (axis == rank - 1 && rank(right) >= 1) {
      return get(right, rank(right) - 1);
    }
    return aligned(node, value, axis, tokens);
  }

  /** Where an operand has the axis. */
  private List<Segment> throughEinsum(Node node, Value value, int axis, Dim tokens) {
    Optional<EinsumEquation> equation = EinsumEquation.of(node, facts);
    if (equation.isEmpty()) {
      return everything(value, tokens);
    }
    List<List<Segment>> candidates = new ArrayList<>();
    List<Integer> places = equation.get().placesOf(axis);
    for (int i = 0; i < places.size(); i++) {
      Value operand = node.requiredInput(i);
      if (places.get(i) >= 0 && !flow.isFixed(operand)) {
        candidates.add(get(operand, places.get(i)));
      }
    }
    return candidates.isEmpty() ? everything(value, tokens) : united(candidates);
  }

  private List<Segment> throughBranches(Node node, Value value, int axis) {
    List<List<Segment>> candidates = new ArrayList<>();
    for (Graph branch : node.subgraphs()) {
      candidates.add(get(branch.outputs().get(value.outputIndex()), axis));
    }
    return united(candidates);
  }

  /** What the body makes of the value that it is given; stacked results are not followed. */
  private List<Segment> throughLoop(Node node, Value value, int axis, Dim tokens) {
    boolean isState = value.outputIndex() < node.inputCount() - 2;
    return isState
        ? get(node.subgraphs().get(0).outputs().get(value.outputIndex() + 1), axis)
        : everything(value, tokens);
  }

  /** The value that a body is given for its input. */
  private List<Segment> throughBody(BodyInput input, Value value, int axis, Dim tokens) {
    if (input.outer().isEmpty()) {
      return List.of(new Segment(Set.of(), tokens));
    }
    boolean before = input.scannedAxis() < 0 || axis < input.scannedAxis();
    Value outer = input.outer().get(0);
    int place = before ? axis : axis + 1;
    return place < rank(outer) ? get(outer, place) : everything(value, tokens);
  }

  private List<Segment> throughGemm(Node node, Value value, int axis, Dim tokens) {
    if (axis == 0) {
      return get(node.requiredInput(0), node.intAttribute("transA", 0) == 0 ? 0 : 1);
    }
    if (axis == 1) {
      return get(node.requiredInput(1), node.intAttribute("transB", 0) == 0 ? 1 : 0);
    }
    return everything(value, tokens);
  }

  private List<Segment> throughTranspose(Node node, int axis) {
    Value data = node.requiredInput(0);
    int source =
        node.intsAttribute("perm")
            .map(perm -> Math.toIntExact(perm.get(axis)))
            .orElse(rank(data) - 1 - axis);
    return get(data, source);
  }

  private List<Segment> throughReshape(Node node, Value value, int axis, Dim tokens) {
    Value data = node.requiredInput(0);
    Optional<List<Dim>> from = facts.shape(data);
    Optional<List<Dim>> to = facts.shape(value);
    if (from.isEmpty() || to.isEmpty()) {
      return everything(value, tokens);
    }
    OptionalInt same = AxisMap.same(from.get(), to.get(), axis);
    if (same.isPresent()) {
      return get(data, same.getAsInt());
    }
    Optional<AxisMap.Group> joined = AxisMap.joined(from.get(), to.get(), axis);
    if (joined.isPresent()) {
      Set<Value> inputs = new LinkedHashSet<>();
      for (int i = joined.get().from(); i < joined.get().to(); i++) {
        if (!from.get().get(i).is(1)) {
          get(data, i).forEach(segment -> inputs.addAll(segment.inputs()));
        }
      }
      return List.of(new Segment(inputs, tokens));
    }
    OptionalInt split = AxisMap.splitFrom(from.get(), to.get(), axis);
    if (split.isPresent()) {
      Optional<Axis> whole = beforeJoining(data, split.getAsInt(), to.get(), axis);
      return whole.isPresent()
          ? get(whole.get().value(), whole.get().axis())
          : asOne(get(data, split.getAsInt()), tokens);
    }
    OptionalInt possible = AxisMap.possiblySame(from.get(), to.get(), axis);
    if (possible.isPresent()) {
      return get(data, possible.getAsInt());
    }
    return everything(value, tokens);
  }

  /**
   * The axis that was joined with others upstream, [B,S,C] to [B*S,C], if they are split again as
   * they were: what exporters put around Gemm.
   */
  private Optional<Axis> beforeJoining(Value joined, int joinedAxis, List<Dim> to, int toAxis) {
    Value value = joined;
    int axis = joinedAxis;
    for (int step = 0; step < MAX_STEPS && value.producer().isPresent(); step++) {
      Node node = value.producer().get();
      if (node.inputCount() == 0 || node.input(0).isEmpty()) {
        return Optional.empty();
      }
      Value data = node.requiredInput(0);
      Optional<List<Dim>> from = facts.shape(data);
      Optional<List<Dim>> here = facts.shape(value);
      if (from.isEmpty() || here.isEmpty()) {
        return Optional.empty();
      }
      if (node.is("Reshape") || node.is("Flatten")) {
        Optional<AxisMap.Group> group = AxisMap.joined(from.get(), here.get(), axis);
        return group.flatMap(g -> splitAgain(data, from.get(), g, to, toAxis));
      }
      boolean keepsRows =
          (node.is("Gemm") && axis == 0 && node.intAttribute("transA", 0) == 0)
              || (node.is("MatMul") && axis == from.get().size() - 2)
              || (from.get().size() == here.get().size()
                  && from.get().get(axis).equals(here.get().get(axis))
                  && (Elementwise.is(node) || node.opType().endsWith("Normalization")));
      if (!keepsRows || flow.isFixed(data)) {
        return Optional.empty();
      }
      value = data;
    }
    return Optional.empty();
  }

  private static Optional<Axis> splitAgain(
      Value data, List<Dim> from, AxisMap.Group group, List<Dim> to, int toAxis) {
    List<Dim> joined = group.of(from);
    for (int start = 0; start + joined.size() <= to.size(); start++) {
      int place = toAxis - start;
      if (place >= 0
          && place < joined.size()
          && to.subList(start, start + joined.size()).equals(joined)
          && Dim.product(to.subList(0, start)).equals(Dim.product(from.subList(0, group.from())))) {
        return Optional.of(new Axis(data, group.from() + place));
      }
    }
    return Optional.empty();
  }

  private List<Segment> throughConcat(Node node, Value value, int axis, Dim tokens) {
    long along = node.intAttribute("axis", 0);
    if (along < 0) {
      along += rank(value);
    }
    if (along != axis) {
      return aligned(node, value, axis, tokens);
    }
    List<Segment> all = new ArrayList<>();
    for (Value part : node.presentInputs()) {
      all.addAll(get(part, axis));
    }
    return all;
  }

  private List<Segment> throughSlice(Node node, int axis, Dim tokens) {
    Value data = node.requiredInput(0);
    List<Segment> whole = get(data, axis);
    Optional<Dim> length = dim(data, axis);
    if (length.isEmpty() || length.get().equals(tokens) || whole.size() < 2) {
      return whole.size() == 1 ? List.of(whole.get(0).with(tokens)) : whole;
    }
    Optional<Dim> start = start(node, axis, length.get(), tokens);
    return start.isPresent() ? cut(whole, start.get(), tokens) : asOne(whole, tokens);
  }

  /** First index of a slice of step 1 along the axis. */
  private Optional<Dim> start(Node node, int axis, Dim length, Dim tokens) {
    Optional<List<Dim>> starts = node.input(1).flatMap(facts::elements);
    if (starts.isEmpty()) {
      return Optional.empty();
    }
    int place = axis;
    if (node.input(3).isPresent()) {
      Optional<List<Dim>> axes = facts.elements(node.input(3).get());
      if (axes.isEmpty()) {
        return Optional.empty();
      }
      int rank = rank(node.requiredInput(0));
      place = Math.max(axes.get().indexOf(Dim.of(axis)), axes.get().indexOf(Dim.of(axis - rank)));
    }
    if (place < 0 || place >= starts.get().size()) {
      return Optional.empty();
    }
    Dim start = starts.get().get(place);
    if (start.is(0)) {
      return Optional.of(start);
    }
    // A tail is counted from the end: -24, or -T.
    if (start.negate().equals(tokens) || start.plus(tokens).equals(length)) {
      return Optional.of(length.minus(tokens));
    }
    boolean negative = start.constant().isPresent() && start.constant().getAsLong() < 0;
    return Optional.of(negative ? length.plus(start) : start);
  }

  /** The tokens from an index on; a boundary within a segment must be a difference of numbers. */
  private static List<Segment> cut(List<Segment> whole, Dim start, Dim tokens) {
    List<Segment> cut = new ArrayList<>();
    Dim skip = start;
    Dim left = tokens;
    for (Segment segment : whole) {
      if (left.is(0)) {
        break;
      }
      if (skip.equals(segment.tokens())) {
        skip = Dim.ZERO;
        continue;
      }
      if (!skip.is(0) && skip.isAtLeast(segment.tokens())) {
        skip = skip.minus(segment.tokens());
        continue;
      }
      Dim here = segment.tokens().minus(skip);
      skip = Dim.ZERO;
      Dim taken = left.isAtLeast(here) ? here : left;
      cut.add(segment.with(taken));
      left = left.minus(taken);
    }
    return left.is(0) ? cut : asOne(whole, tokens);
  }

  private List<Segment> throughSplit(Node node, Value value, int axis, Dim tokens) {
    Value data = node.requiredInput(0);
    List<Segment> whole = get(data, axis);
    long along = node.intAttribute("axis", 0);
    if (along < 0) {
      along += rank(data);
    }
    if (along != axis || whole.isEmpty()) {
      return whole;
    }
    Dim start = Dim.ZERO;
    for (Value part : node.outputs()) {
      if (part == value) {
        break;
      }
      Optional<Dim> length = dim(part, axis);
      if (length.isEmpty()) {
        return asOne(whole, tokens);
      }
      start = start.plus(length.get());
    }
    return cut(whole, start, tokens);
  }

  private List<Segment> throughGather(Node node, int axis, Dim tokens) {
    Value data = node.requiredInput(0);
    Value indices = node.requiredInput(1);
    int along = Math.toIntExact(node.intAttribute("axis", 0));
    if (along < 0) {
      along += rank(data);
    }
    int indexRank = rank(indices);
    if (axis < along) {
      return get(data, axis);
    }
    if (axis >= along + indexRank) {
      return get(data, axis - indexRank + 1);
    }
    // Rows of a table of weights are what the indices say; picked tokens are what they were.
    return flow.isFixed(data) ? get(indices, axis - along) : asOne(get(data, along), tokens);
  }

  private List<Segment> throughScatter(Node node, Value value, int axis, Dim tokens) {
    Value data = node.requiredInput(0);
    if (!flow.isFixed(data)) {
      return get(data, axis);
    }
    Value updates = node.requiredInput(2);
    boolean inPlace =
        rank(updates) == rank(value)
            && dim(updates, axis).filter(d -> AxisMap.mayEqual(d, tokens)).isPresent();
    return inPlace ? get(updates, axis) : everything(value, tokens);
  }

  private List<Segment> throughPad(Node node, int axis, Dim tokens) {
    Value data = node.requiredInput(0);
    List<Segment> inner = get(data, axis);
    Optional<Dim> length = dim(data, axis);
    Optional<List<Dim>> pads = node.input(1).flatMap(facts::elements);
    boolean simple = pads.isPresent() && pads.get().size() == 2 * rank(data);
    if (length.isEmpty() || length.get().equals(tokens) || !simple || node.input(3).isPresent()) {
      return inner.size() == 1 ? List.of(inner.get(0).with(tokens)) : inner;
    }
    List<Segment> padded = new ArrayList<>();
    Dim before = pads.orElseThrow().get(axis);
    Dim after = pads.orElseThrow().get(axis + rank(data));
    if (!before.is(0)) {
      padded.add(new Segment(Set.of(), before));
    }
    padded.addAll(inner);
    if (!after.is(0)) {
      padded.add(new Segment(Set.of(), after));
    }
    return padded;
  }

  private List<Segment> throughExpand(Node node, Value value, int axis, Dim tokens) {
    Value data = node.requiredInput(0);
    int source = axis - (rank(value) - rank(data));
    Optional<Dim> length = dim(data, source);
    if (length.isEmpty()) {
      return everything(value, tokens);
    }
    List<Segment> segments = get(data, source);
    return length.get().equals(tokens) ? segments : asOne(segments, tokens);
  }

  private List<Segment> throughReduction(Node node, Value value, int axis, Dim tokens) {
    Value data = node.requiredInput(0);
    if (rank(data) != rank(value)) {
      return everything(value, tokens);
    }
    List<Segment> segments = get(data, axis);
    return dim(data, axis).filter(tokens::equals).isPresent() ? segments : asOne(segments, tokens);
  }

  private static List<Segment> asOne(List<Segment> segments, Dim tokens) {
    Set<Value> inputs = new LinkedHashSet<>();
    segments.forEach(segment -> inputs.addAll(segment.inputs()));
    return List.of(new Segment(inputs, tokens));
  }

  /** Operators that work element by element, or along other axes, broadcasting as ONNX does. */
  private List<Segment> aligned(Node node, Value value, int axis, Dim tokens) {
    int rank = rank(value);
    List<List<Segment>> candidates = new ArrayList<>();
    boolean any = false;
    for (Value input : node.presentInputs()) {
      int place = axis - (rank - rank(input));
      Optional<Dim> length = dim(input, place);
      if (length.isEmpty()
          || flow.isFixed(input)
          || (length.get().is(1) && !tokens.is(1))
          || !AxisMap.mayEqual(length.get(), tokens)) {
        continue;
      }
      any = true;
      candidates.add(get(input, place));
    }
    return any ? united(candidates) : everything(value, tokens);
  }

  /**
   * What several operands say of one axis: the finest division counts, and who divides it alike
   * adds its origins.
   */
  private static List<Segment> united(List<List<Segment>> candidates) {
    List<Segment> finest = List.of();
    for (List<Segment> candidate : candidates) {
      if (candidate.size() > finest.size()) {
        finest = candidate;
      }
    }
    List<Segment> result = new ArrayList<>();
    for (int i = 0; i < finest.size(); i++) {
      Set<Value> inputs = new LinkedHashSet<>();
      for (List<Segment> candidate : candidates) {
        if (candidate.size() == finest.size()) {
          inputs.addAll(candidate.get(i).inputs());
        }
      }
      result.add(new Segment(inputs, finest.get(i).tokens()));
    }
    return result;
  }
}
