package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import io.sparsedit.passes.functions.Layout;
import io.sparsedit.passes.functions.QkNormRope;
import io.sparsedit.passes.functions.SparseOps;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Replaces what stands in front of Q and K of a site by calls of {@link QkNormRope}.
 *
 * <p>Each run of tokens gets a call of its own, for Q and K together where they are prepared alike;
 * runs are joined afterwards. What was there stays for whoever else reads it.
 */
public final class QkFusion {
  private final Model model;
  private final ValueFacts facts;
  private final PreparationFinder finder;
  private final Map<TableKey, Value> tables = new HashMap<>();

  /** A fusion of sites of a graph that is otherwise as the analysis saw it. */
  public QkFusion(Model model, ValueFacts facts, QkAnalysis analysis) {
    this.model = model;
    this.facts = facts;
    this.finder = analysis.finder();
  }

  /**
   * A call before it is made.
   *
   * @param layout order of the dimensions of the source
   * @param norm its norm
   * @param rope its rotary embedding
   * @param part what was found
   */
  private record Call(
      Layout layout,
      Optional<QkNormRope.Norm> norm,
      Optional<QkNormRope.Rotary> rope,
      FoundPart part) {
    static Call of(FoundPart part) {
      Optional<QkNormRope.Norm> norm =
          part.fact()
              .norm()
              .map(n -> new QkNormRope.Norm(n.kind(), n.scope(), n.guard(), n.weight(), n.bias()));
      Optional<QkNormRope.Rotary> rope =
          part.fact().rope().map(r -> new QkNormRope.Rotary(r.form(), r.firstLane(), r.tokens()));
      Layout layout = part.source().headsFirst() ? Layout.BHSD : Layout.BSHD;
      return new Call(layout, norm, rope, part);
    }

    boolean isLike(Call other, ValueFacts facts) {
      return layout == other.layout
          && lanes(facts).equals(other.lanes(facts))
          && norm.equals(other.norm)
          && rope.equals(other.rope)
          && part.rotation().equals(other.part.rotation())
          && part.firstRotated().equals(other.part.firstRotated())
          && part.fact()
              .rope()
              .map(Rope::rotatedTokens)
              .equals(other.part.fact().rope().map(Rope::rotatedTokens));
    }

    /** How many weights and biases. */
    private List<Optional<Dim>> lanes(ValueFacts facts) {
      return List.of(
          part.norm().flatMap(NormMatch::weight).map(weight -> weight.lanes(facts)),
          part.norm().flatMap(NormMatch::bias).flatMap(facts::shape).map(QkFusion::product));
    }
  }

  /**
   * Replaces Q and K of an attention node.
   *
   * @param attention the canonical node
   * @param site index of the site
   * @param name name of the site, for the new nodes
   * @param content the graph inputs that the tokens come from
   * @param sizes sizes as values that are known before the node
   * @return whether something was replaced
   */
  public boolean fuse(Node attention, int site, String name, Set<Value> content, SizeValues sizes) {
    List<Value> tensors = List.of(attention.requiredInput(0), attention.requiredInput(1));
    List<List<Call>> calls = new ArrayList<>();
    List<HeadView> views = new ArrayList<>();
    for (Value tensor : tensors) {
      Optional<HeadView> view = finder.view(tensor);
      if (view.isEmpty() || !isTaken(view.get().head())) {
        return false;
      }
      views.add(view.get());
      List<FoundPart> parts = finder.find(view.get(), content);
      boolean something =
          parts.stream().anyMatch(p -> p.norm().isPresent() || p.rotation().isPresent());
      calls.add(something ? parts.stream().map(Call::of).toList() : List.of());
    }
    Site target = new Site(attention, site, name, sizes, new AtomicInteger());
    List<Optional<List<Value>>> made = new ArrayList<>();
    boolean sameHeads = views.get(0).head().heads().equals(views.get(1).head().heads());
    if (sameHeads && alike(calls)) {
      List<List<Value>> pairs = new ArrayList<>(List.of(new ArrayList<>(), new ArrayList<>()));
      for (int i = 0; i < calls.get(0).size(); i++) {
        Optional<List<Value>> pair =
            call(
                List.of(calls.get(0).get(i), calls.get(1).get(i)),
                views.get(0).head(),
                rotatesOnce(calls.get(0)),
                target);
        if (pair.isEmpty()) {
          return false;
        }
        pairs.get(0).add(pair.get().get(0));
        pairs.get(1).add(pair.get().get(1));
      }
      pairs.forEach(values -> made.add(Optional.of(values)));
    } else {
      for (int t = 0; t < tensors.size(); t++) {
        made.add(each(calls.get(t), views.get(t).head(), target));
      }
    }
    boolean fused = false;
    for (int t = 0; t < tensors.size(); t++) {
      if (made.get(t).isPresent() && !made.get(t).get().isEmpty()) {
        Value all = joined(made.get(t).get(), tensors.get(t), calls.get(t), target);
        Value whole = repeated(all, views.get(t), target);
        tensors.get(t).type().ifPresent(whole::setType);
        attention.setInput(t, whole);
        fused = true;
      }
    }
    return fused;
  }

  private static boolean isTaken(Head head) {
    return QkNormRope.takes(head.heads().constant().orElse(1), head.dim());
  }

  /** The site whose Q and K are replaced, and how many calls were made. */
  private record Site(
      Node attention, int index, String name, SizeValues sizes, AtomicInteger count) {}

  private boolean alike(List<List<Call>> calls) {
    List<Call> query = calls.get(0);
    List<Call> key = calls.get(1);
    if (query.size() != key.size()) {
      return false;
    }
    for (int i = 0; i < query.size(); i++) {
      if (!query.get(i).isLike(key.get(i), facts)) {
        return false;
      }
    }
    return true;
  }

  private static boolean rotatesOnce(List<Call> calls) {
    return calls.stream().filter(call -> call.rope().isPresent()).count() == 1;
  }

  private Optional<List<Value>> each(List<Call> calls, Head head, Site site) {
    List<Value> values = new ArrayList<>();
    for (Call call : calls) {
      Optional<List<Value>> one = call(List.of(call), head, rotatesOnce(calls), site);
      if (one.isEmpty()) {
        return Optional.empty();
      }
      values.addAll(one.get());
    }
    return Optional.of(values);
  }

  /** One call for one tensor or for Q and K; its outputs, {@code [B,H,S,D]}. */
  private Optional<List<Value>> call(List<Call> calls, Head head, boolean alone, Site site) {
    Call first = calls.get(0);
    Inserter inserter = new Inserter(site.attention());
    Optional<List<Value>> sources = sources(calls, head, inserter);
    if (sources.isEmpty()) {
      return Optional.empty();
    }
    if (first.norm().isEmpty() && first.rope().isEmpty()) {
      return Optional.of(
          sources.get().stream()
              .map(
                  value ->
                      first.layout() == Layout.BHSD
                          ? value
                          : inserter.transpose(value, List.of(0, 2, 1, 3)))
              .toList());
    }
    if (vectorsDiffer(calls)) {
      return Optional.empty();
    }
    QkNormRope op =
        new QkNormRope(
            site.index(),
            first.layout(),
            Layout.BHSD,
            calls.size() > 1,
            first.norm(),
            first.rope());
    Map<String, Value> inputs = vectors(calls, inserter);
    inputs.put(SparseOps.Q, sources.get().get(0));
    if (calls.size() > 1) {
      inputs.put(SparseOps.K, sources.get().get(1));
    }
    if (first.part().rotation().isPresent()) {
      Rotation rotation = first.part().rotation().get();
      Dim rows = first.part().fact().rope().orElseThrow().rotatedTokens();
      RotaryTable table = new RotaryTable(inserter, facts, head, site.sizes());
      Dim start = first.part().firstRotated();
      Graph graph = site.attention().graph();
      Optional<Value> cos =
          table(table, new TableKey(graph, head, rotation.cos(), start, rows, alone));
      Optional<Value> sin =
          table(table, new TableKey(graph, head, rotation.sin(), start, rows, alone));
      if (cos.isEmpty() || sin.isEmpty()) {
        return Optional.empty();
      }
      inputs.put(QkNormRope.COS, cos.get());
      inputs.put(QkNormRope.SIN, sin.get());
    }
    String name = site.name() + (calls.size() > 1 ? ".qk_norm_rope" : ".norm_rope");
    int number = site.count().incrementAndGet();
    Node node =
        op.insertBefore(
            site.attention(), number == 1 ? name : name + "_" + number, inputs, Map.of());
    if (model.functionOf(node).isEmpty()) {
      model.functions().add(op.function(model.opset()));
    }
    model.opsets().put(SparseOps.DOMAIN, SparseOps.VERSION);
    model.setIrVersion(Math.max(model.irVersion(), SparseOps.MIN_IR_VERSION));
    return Optional.of(node.outputs());
  }

  /** What the calls read, with heads apart. */
  private static Optional<List<Value>> sources(List<Call> calls, Head head, Inserter inserter) {
    List<Value> sources = new ArrayList<>();
    for (Call call : calls) {
      HeadTensor source = call.part().source();
      Value value = call.part().norm().map(NormMatch::input).orElse(source.value());
      Optional<Value> heads = heads(value, source, head, inserter);
      if (heads.isEmpty()) {
        return Optional.empty();
      }
      sources.add(heads.get());
    }
    return Optional.of(sources);
  }

  /** Whether weights and biases, which one call reads at one length, have several. */
  private boolean vectorsDiffer(List<Call> calls) {
    return calls.stream()
            .flatMap(call -> call.lanes(facts).stream())
            .flatMap(Optional::stream)
            .distinct()
            .count()
        > 1;
  }

  /** Weights and biases of the norms, as vectors, by the names of the operator's inputs. */
  private Map<String, Value> vectors(List<Call> calls, Inserter inserter) {
    Map<String, Value> vectors = new HashMap<>();
    for (int i = 0; i < calls.size(); i++) {
      String weight = i == 0 ? QkNormRope.Q_WEIGHT : QkNormRope.K_WEIGHT;
      String bias = i == 0 ? QkNormRope.Q_BIAS : QkNormRope.K_BIAS;
      Optional<NormMatch> norm = calls.get(i).part().norm();
      norm.flatMap(NormMatch::weight)
          .ifPresent(w -> vectors.put(weight, w.vector(inserter, facts)));
      norm.flatMap(NormMatch::bias).ifPresent(b -> vectors.put(bias, flat(b, inserter)));
    }
    return vectors;
  }

  /** What a table is made of; layers have their tables in common. */
  private record TableKey(
      Graph graph, Head head, List<TableLane> lanes, Dim first, Dim tokens, boolean alone) {
    private TableKey {
      lanes = List.copyOf(lanes);
    }
  }

  /** The table, made for this site or for one before it. */
  private Optional<Value> table(RotaryTable builder, TableKey key) {
    Value known = tables.get(key);
    if (known != null) {
      return Optional.of(known);
    }
    Optional<Value> made = builder.build(key.lanes(), key.first(), key.tokens(), key.alone());
    made.ifPresent(table -> tables.put(key, table));
    return made;
  }

  private Value joined(List<Value> parts, Value tensor, List<Call> calls, Site site) {
    Inserter inserter = new Inserter(site.attention());
    DataType wanted = facts.elementType(tensor);
    List<Value> typed = new ArrayList<>();
    for (int i = 0; i < parts.size(); i++) {
      FoundPart part = calls.get(i).part();
      Value source = part.norm().map(NormMatch::input).orElse(part.source().value());
      typed.add(
          facts.elementType(source) == wanted ? parts.get(i) : inserter.cast(parts.get(i), wanted));
    }
    return inserter.concat(2, typed);
  }

  /** Heads repeated as those of the view are. */
  private static Value repeated(Value heads, HeadView view, Site site) {
    if (view.repeats() == 1) {
      return heads;
    }
    Inserter inserter = new Inserter(site.attention());
    long count = view.head().heads().constant().orElseThrow();
    int axis = view.inBlocks() ? 2 : 1;
    long[] times = {1, 1, 1, 1, 1};
    times[axis] = view.repeats();
    Value apart = inserter.op("Unsqueeze", heads, inserter.ints("axes", axis));
    Value all = inserter.op("Expand", apart, inserter.ints("times", times));
    return inserter.reshape(all, 0, count * view.repeats(), -1, view.head().dim());
  }

  private static Dim product(List<Dim> dims) {
    return dims.stream().reduce(Dim.ONE, Dim::times);
  }

  /** The source as {@code [B,S,H,D]} or {@code [B,H,S,D]}. */
  private static Optional<Value> heads(
      Value value, HeadTensor source, Head head, Inserter inserter) {
    List<HeadTensor.Axis> wanted =
        source.headsFirst()
            ? List.of(
                HeadTensor.Axis.BATCH,
                HeadTensor.Axis.HEAD,
                HeadTensor.Axis.TOKEN,
                HeadTensor.Axis.LANE)
            : List.of(
                HeadTensor.Axis.BATCH,
                HeadTensor.Axis.TOKEN,
                HeadTensor.Axis.HEAD,
                HeadTensor.Axis.LANE);
    if (isInOrder(source.axes(), wanted)) {
      return Optional.of(value);
    }
    if (!head.heads().isConstant()) {
      return Optional.empty();
    }
    List<Integer> order = new ArrayList<>();
    for (HeadTensor.Axis axis : wanted) {
      order.addAll(axesOf(source, axis));
    }
    order.addAll(axesOf(source, HeadTensor.Axis.HEAD_AND_LANE));
    // Axes of size 1 are where they are: what follows is a reshape.
    boolean inOrder = order.stream().sorted().toList().equals(order);
    order.addAll(axesOf(source, HeadTensor.Axis.UNIT));
    Value ordered = inOrder ? value : inserter.transpose(value, order);
    long batch = source.hasBatch() ? 0 : 1;
    long heads = head.heads().constant().orElseThrow();
    return Optional.of(
        source.headsFirst()
            ? inserter.reshape(ordered, batch, heads, -1, head.dim())
            : inserter.reshape(ordered, batch, -1, heads, head.dim()));
  }

  /** Whether a tensor has the wanted axes; one of size 1 may stand for batch or heads. */
  private static boolean isInOrder(List<HeadTensor.Axis> axes, List<HeadTensor.Axis> wanted) {
    if (axes.size() != wanted.size()) {
      return false;
    }
    for (int i = 0; i < axes.size(); i++) {
      if (axes.get(i) != wanted.get(i) && axes.get(i) != HeadTensor.Axis.UNIT) {
        return false;
      }
    }
    return true;
  }

  private static List<Integer> axesOf(HeadTensor source, HeadTensor.Axis axis) {
    List<Integer> found = new ArrayList<>();
    for (int i = 0; i < source.axes().size(); i++) {
      if (source.axes().get(i) == axis) {
        found.add(i);
      }
    }
    return found;
  }

  /** A bias as a vector. */
  private Value flat(Value weight, Inserter inserter) {
    boolean vector = facts.shape(weight).map(List::size).orElse(0) == 1;
    return vector ? weight : inserter.reshape(weight, -1);
  }
}
