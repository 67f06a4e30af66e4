package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A tensor whose axes are batch, heads, tokens and lanes, in any order, others being of size 1; Q
 * or K itself, or the key heads that K repeats for groups of query heads.
 *
 * <pre>
 *   k  = Reshape(Expand(Unsqueeze(g, 2), [B,G,N,S,D]), [B,G*N,S,D])    head h is head h / N of g
 *   k  = Tile(g, [1,N,1,1])                                            head h is head h % G of g
 * </pre>
 *
 * @param value the tensor
 * @param head its sizes
 * @param rank how many axes it has
 * @param axes the axes of batch, heads, tokens and lanes; -1 for one that is not there, of size 1
 * @param repeats how many heads of Q or K each of its heads becomes
 * @param inBlocks whether these are next to one another
 */
record HeadView(
    Value value, Head head, int rank, List<Integer> axes, int repeats, boolean inBlocks) {
  private static final int MAX_HEAD_DIM = 1024;
  private static final int MAX_STEPS = 64;
  private static final int HEADS = 1;

  HeadView {
    axes = List.copyOf(axes);
  }

  /** Q or K, {@code [B,H,S,D]}; empty where sizes are not known that must be. */
  static Optional<HeadView> of(Value value, ValueFacts facts) {
    Optional<List<Dim>> dims = facts.shape(value).filter(d -> d.size() == 4);
    if (dims.isEmpty() || !dims.get().get(3).isConstant()) {
      return Optional.empty();
    }
    long dim = dims.get().get(3).constant().getAsLong();
    if (dim < 1 || dim > MAX_HEAD_DIM) {
      return Optional.empty();
    }
    List<Dim> d = dims.get();
    Head head = new Head(d.get(0), d.get(1), d.get(2), (int) dim);
    return Optional.of(new HeadView(value, head, 4, List.of(0, 1, 2, 3), 1, true));
  }

  /** The heads that this tensor repeats, if it does. */
  Optional<HeadView> repeated(Movement movement, ValueFacts facts) {
    if (!head.heads().isConstant() || head.heads().is(1)) {
      return Optional.empty();
    }
    int heads = Math.toIntExact(head.heads().constant().getAsLong());
    // The first lane of each head, and the last lane of the first head.
    List<Element> elements = new ArrayList<>();
    for (int h = 0; h < heads; h++) {
      elements.add(element(this, new Index.At(h), 0));
    }
    elements.add(element(this, Index.FIRST, head.dim() - 1));
    try {
      for (int step = 0; step < MAX_STEPS; step++) {
        List<Element> before = new ArrayList<>();
        for (Element element : elements) {
          movement.before(element).ifPresent(before::add);
        }
        if (before.size() < elements.size()) {
          return Optional.empty();
        }
        elements = before;
        Optional<HeadView> found = repeated(elements, facts);
        if (found.isPresent()) {
          return keepsLanes(found.get(), elements, movement, step + 1) ? found : Optional.empty();
        }
      }
    } catch (SplitRegionException split) {
      // Runs of tokens of different origin are not repeated together.
    }
    return Optional.empty();
  }

  /** Whether each lane of each head comes, some steps before, from the same lane of that view. */
  private boolean keepsLanes(
      HeadView view, List<Element> firstLanes, Movement movement, int steps) {
    int heads = firstLanes.size() - 1;
    for (int h = 0; h < heads; h++) {
      for (int lane = 0; lane < head.dim(); lane++) {
        Optional<Element> at = Optional.of(element(this, new Index.At(h), lane));
        for (int step = 0; step < steps && at.isPresent(); step++) {
          at = movement.before(at.get());
        }
        List<Index> wanted = new ArrayList<>(firstLanes.get(h).at());
        if (view.axes.get(3) >= 0) {
          wanted.set(view.axes.get(3), new Index.At(lane));
        }
        if (!at.equals(Optional.of(new Element(view.value, wanted)))) {
          return false;
        }
      }
    }
    return true;
  }

  private Optional<HeadView> repeated(List<Element> elements, ValueFacts facts) {
    Value source = elements.get(0).value();
    Optional<List<Dim>> dims = facts.shape(source);
    if (dims.isEmpty() || elements.stream().anyMatch(element -> element.value() != source)) {
      return Optional.empty();
    }
    int rank = dims.get().size();
    int heads = elements.size() - 1;
    List<Element> each = elements.subList(0, heads);
    List<Index> lastLane = elements.get(heads).at();
    List<Integer> found = new ArrayList<>(Collections.nCopies(4, -1));
    Set<Integer> varying = new HashSet<>();
    for (int axis = 0; axis < rank; axis++) {
      Index first = each.get(0).at().get(axis);
      Dim size = dims.get().get(axis);
      int place = axis;
      boolean isLane = first.equals(Index.FIRST) && size.is(head.dim());
      if (!lastLane.get(axis).equals(first)) {
        if (!isLane || !lastLane.get(axis).equals(new Index.At(head.dim() - 1))) {
          return Optional.empty();
        }
        found.set(3, axis);
      } else if (each.stream().anyMatch(e -> !e.at().get(place).equals(first))) {
        varying.add(axis);
      } else if (first instanceof Index.Along along && along.offset().is(0)) {
        found.set(along.symbol().isToken() ? 2 : 0, axis);
      } else if (!size.is(1)) {
        return Optional.empty();
      }
    }
    if (varying.size() > 1 || !isWhole(found, dims.get())) {
      return Optional.empty();
    }
    if (varying.isEmpty()) {
      Head one = new Head(head.batch(), Dim.ONE, head.tokens(), head.dim());
      return Optional.of(new HeadView(source, one, rank, found, heads, true));
    }
    int axis = varying.iterator().next();
    found.set(HEADS, axis);
    return groups(each, axis, dims.get().get(axis))
        .map(
            inBlocks -> {
              Dim groups = dims.get().get(axis);
              Head fewer = new Head(head.batch(), groups, head.tokens(), head.dim());
              int times = heads / Math.toIntExact(groups.constant().getAsLong());
              return new HeadView(source, fewer, rank, found, times, inBlocks);
            });
  }

  /** Whether the axes are there that must be, and as long as this tensor's. */
  private boolean isWhole(List<Integer> found, List<Dim> dims) {
    List<Dim> sizes = List.of(head.batch(), Dim.ONE, head.tokens(), Dim.of(head.dim()));
    for (int i = 0; i < sizes.size(); i++) {
      boolean there = found.get(i) >= 0;
      if (there ? !dims.get(found.get(i)).equals(sizes.get(i)) : !sizes.get(i).is(1)) {
        return false;
      }
    }
    return true;
  }

  /** Whether equal heads are next to one another; empty if heads are not repeated evenly. */
  private static Optional<Boolean> groups(List<Element> elements, int axis, Dim size) {
    if (!size.isConstant()) {
      return Optional.empty();
    }
    long groups = size.constant().getAsLong();
    int heads = elements.size();
    if (groups >= heads || heads % groups != 0) {
      return Optional.empty();
    }
    boolean blocks = true;
    boolean rounds = true;
    for (int h = 0; h < heads; h++) {
      if (!(elements.get(h).at().get(axis) instanceof Index.At at)) {
        return Optional.empty();
      }
      blocks &= at.number() == h / (heads / groups);
      rounds &= at.number() == h % groups;
    }
    return blocks || rounds ? Optional.of(blocks) : Optional.empty();
  }

  /** The lanes of one head of some tokens, with batch and head as symbols. */
  List<Element> lanes(Region region) {
    Symbol token = new Symbol(Symbol.TOKEN, region.start(), region.size());
    Index tokens = head.tokens().is(1) ? Index.FIRST : new Index.Along(token, Dim.ZERO);
    List<Element> lanes = new ArrayList<>();
    for (int d = 0; d < head.dim(); d++) {
      lanes.add(element(index(Symbol.HEAD, head.heads()), tokens, d));
    }
    return lanes;
  }

  private static Element element(HeadView view, Index headIndex, int lane) {
    Symbol token = new Symbol(Symbol.TOKEN, Dim.ZERO, view.head.tokens());
    return view.element(
        headIndex, view.head.tokens().is(1) ? Index.FIRST : new Index.Along(token, Dim.ZERO), lane);
  }

  private Element element(Index headIndex, Index tokens, int lane) {
    List<Index> wanted =
        List.of(index(Symbol.BATCH, head.batch()), headIndex, tokens, new Index.At(lane));
    List<Index> at = new ArrayList<>(Collections.nCopies(rank, Index.FIRST));
    for (int i = 0; i < axes.size(); i++) {
      if (axes.get(i) >= 0) {
        at.set(axes.get(i), wanted.get(i));
      }
    }
    return new Element(value, at);
  }

  private static Index index(String name, Dim size) {
    return size.is(1) ? Index.FIRST : new Index.Along(new Symbol(name, Dim.ZERO, size), Dim.ZERO);
  }
}
