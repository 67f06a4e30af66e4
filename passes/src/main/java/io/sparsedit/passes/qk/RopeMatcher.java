package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.ValueFacts;
import io.sparsedit.passes.functions.RopeForm;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.function.Supplier;

/**
 * Whether Q is, lane by lane, a rotation of a given tensor, or that tensor itself.
 *
 * <p>Each lane is written as a sum of products in which the tensor occurs once. One term that is
 * the same lane is the tensor itself; two terms are RoPE if one is the same lane, the other is its
 * partner in a pair, and the partners' signs are opposite. Where the tables are constants they must
 * be the cosine and sine of one angle a pair.
 */
final class RopeMatcher {
  private static final int MAX_TERMS = 4;
  private static final int MAX_PEELED = 16;
  private static final int SAMPLED_TOKENS = 8;
  private static final double TOLERANCE = 1e-2;

  private final ElementTrace trace;
  private final ValueFacts facts;

  RopeMatcher(ElementTrace trace, ValueFacts facts) {
    this.trace = trace;
    this.facts = facts;
  }

  /** One product: a sign, elements of tables, and at most one element of the tensor. */
  private record Term(double sign, List<Element> factors, Optional<List<Index>> lane) {
    Term times(double by) {
      return new Term(sign * by, factors, lane);
    }

    Term times(Element by) {
      List<Element> all = new ArrayList<>(factors);
      all.add(by);
      return new Term(sign, all, lane);
    }
  }

  /** What Q is: the tensor as it is, or rotated. */
  record Outcome(Optional<Rotation> rotation) {}

  /**
   * What the lanes of Q are.
   *
   * @param lanes the element of Q for each lane
   * @param tensor what Q may be made of
   * @param sources the element of the tensor for each lane
   * @param downstream what depends on the tensor
   */
  Optional<Outcome> match(
      List<Element> lanes, Value tensor, List<List<Index>> sources, Set<Value> downstream) {
    Map<List<Index>, Integer> laneOf = new HashMap<>();
    for (int d = 0; d < sources.size(); d++) {
      laneOf.put(sources.get(d), d);
    }
    Expansion expansion = new Expansion(tensor, downstream);
    int dim = lanes.size();
    int[] partner = new int[dim];
    List<TableLane> cos = new ArrayList<>();
    List<TableLane> sin = new ArrayList<>();
    int first = -1;
    int last = -1;
    for (int d = 0; d < dim; d++) {
      Optional<List<Term>> terms = expansion.of(lanes.get(d));
      if (terms.isEmpty()) {
        return Optional.empty();
      }
      List<Term> all = terms.get();
      if (all.size() == 1 && isLane(all.get(0), d, laneOf)) {
        continue;
      }
      Optional<Term> own = rotated(all, d, true, laneOf);
      Optional<Term> other = rotated(all, d, false, laneOf);
      if (own.isEmpty() || other.isEmpty() || (last >= 0 && last != d - 1)) {
        return Optional.empty();
      }
      first = first < 0 ? d : first;
      last = d;
      partner[d] = laneOf.getOrDefault(other.get().lane().orElseThrow(), -1);
      cos.add(table(own.get()));
      sin.add(table(other.get()));
    }
    if (first < 0) {
      return Optional.of(new Outcome(Optional.empty()));
    }
    return rotation(first, partner, cos, sin).map(r -> new Outcome(Optional.of(r)));
  }

  private static boolean isLane(Term term, int d, Map<List<Index>, Integer> laneOf) {
    return term.factors().isEmpty()
        && term.sign() == 1
        && term.lane().map(laneOf::get).filter(lane -> lane == d).isPresent();
  }

  /** The term of two that has the lane itself, or the one that has another lane. */
  private static Optional<Term> rotated(
      List<Term> terms, int d, boolean own, Map<List<Index>, Integer> laneOf) {
    if (terms.size() != 2) {
      return Optional.empty();
    }
    return terms.stream()
        .filter(t -> t.factors().size() == 1)
        .filter(t -> t.lane().map(laneOf::get).filter(l -> (l == d) == own).isPresent())
        .findFirst();
  }

  private Optional<Rotation> rotation(
      int first, int[] partner, List<TableLane> cos, List<TableLane> sin) {
    int count = cos.size();
    for (RopeForm form : RopeForm.values()) {
      boolean fits = count % 2 == 0;
      List<TableLane> turned = new ArrayList<>();
      for (int i = 0; fits && i < count; i++) {
        int other = form.partner(i, count);
        fits = partner[first + i] == first + other && sin.get(i).sign() == -sin.get(other).sign();
        TableLane lane = sin.get(i);
        // The first lane of a pair gets the second one negated.
        turned.add(new TableLane(lane.element(), i < other ? -lane.sign() : lane.sign()));
      }
      if (fits && areOneAngle(form, cos, turned)) {
        return Optional.of(new Rotation(form, first, cos, turned));
      }
    }
    return Optional.empty();
  }

  // ---- expressions ------------------------------------------------------------------------------

  /** Elements as sums of products. */
  private final class Expansion {
    private final Value tensor;
    private final Set<Value> downstream;

    Expansion(Value tensor, Set<Value> downstream) {
      this.tensor = tensor;
      this.downstream = downstream;
    }

    Optional<List<Term>> of(Element element) {
      Element at = element;
      double sign = 1;
      while (true) {
        if (at.value() == tensor) {
          return Optional.of(List.of(new Term(sign, List.of(), Optional.of(at.at()))));
        }
        if (!depends(at)) {
          return Optional.of(List.of(new Term(sign, List.of(at), Optional.empty())));
        }
        Step step = trace.of(at);
        if (step instanceof Step.Same same) {
          at = same.from();
        } else if (step instanceof Step.Signed signed) {
          at = signed.from();
          sign *= signed.sign();
        } else {
          return combined(step, sign);
        }
      }
    }

    private boolean depends(Element element) {
      return element.value() == tensor || downstream.contains(element.value());
    }

    private Optional<List<Term>> combined(Step step, double sign) {
      if (step instanceof Step.Sum sum) {
        return sum(of(sum.left()), () -> of(sum.right()), sum.rightSign(), sign);
      }
      if (step instanceof Step.Product product) {
        return product(product.left(), product.right(), sign);
      }
      if (step instanceof Step.Rotated rotated) {
        return sum(
            product(rotated.data(), rotated.cos(), 1),
            () -> product(rotated.other(), rotated.sin(), 1),
            rotated.sign(),
            sign);
      }
      return Optional.empty();
    }

    private Optional<List<Term>> product(Element left, Element right, double sign) {
      if (depends(left) == depends(right)) {
        return Optional.empty();
      }
      Element factor = depends(left) ? right : left;
      return of(depends(left) ? left : right)
          .map(terms -> terms.stream().map(term -> term.times(factor).times(sign)).toList());
    }

    /** The right side is expanded only if the left one has few terms: each may hold it again. */
    private Optional<List<Term>> sum(
        Optional<List<Term>> left,
        Supplier<Optional<List<Term>>> expandRight,
        double rightSign,
        double sign) {
      if (left.isEmpty()) {
        return Optional.empty();
      }
      Optional<List<Term>> right = expandRight.get();
      if (right.isEmpty()) {
        return Optional.empty();
      }
      List<Term> all = new ArrayList<>();
      left.get().forEach(term -> all.add(term.times(sign)));
      right.get().forEach(term -> all.add(term.times(sign * rightSign)));
      return all.size() > MAX_TERMS ? Optional.empty() : Optional.of(all);
    }
  }

  // ---- tables -----------------------------------------------------------------------------------

  /** A table's element with all its signs in front. */
  private TableLane table(Term term) {
    Element element = term.factors().get(0);
    double sign = term.sign();
    Element at = element;
    double here = sign;
    try {
      for (int i = 0; i < MAX_PEELED; i++) {
        Step step = trace.of(at);
        if (step instanceof Step.Signed signed) {
          here *= signed.sign();
          at = signed.from();
          element = at;
          sign = here;
        } else if (step instanceof Step.Same same) {
          at = same.from();
        } else {
          break;
        }
      }
    } catch (SplitRegionException e) {
      // The table itself is put together from tokens of several kinds; it is used as it is.
      return lane(element, sign);
    }
    return lane(element, sign);
  }

  private TableLane lane(Element element, double sign) {
    Element at = element;
    // Exporters write such steps once for Q and once for K.
    for (int i = 0; i < MAX_PEELED && isOnlyAxes(at.value()); i++) {
      if (!(trace.of(at) instanceof Step.Same same)) {
        break;
      }
      at = same.from();
    }
    return new TableLane(new Element(representative(at.value()), at.at()), sign);
  }

  private static boolean isOnlyAxes(Value value) {
    return value.producer().filter(n -> n.is("Unsqueeze") || n.is("Identity")).isPresent();
  }

  private final List<Value> initializers = new ArrayList<>();
  private final Map<Value, Value> representatives = new HashMap<>();

  /**
   * One initializer for all with the same elements: exporters write tables once for Q and for K.
   */
  private Value representative(Value value) {
    Optional<Tensor> tensor = value.constant().filter(t -> !value.graph().inputs().contains(value));
    if (tensor.isEmpty()) {
      return value;
    }
    return representatives.computeIfAbsent(
        value,
        v -> {
          for (Value known : initializers) {
            if (isSame(known.constant().orElseThrow(), tensor.get())) {
              return known;
            }
          }
          initializers.add(v);
          return v;
        });
  }

  private static boolean isSame(Tensor a, Tensor b) {
    return a.type() == b.type()
        && Arrays.equals(a.dims(), b.dims())
        && a.bytes().isPresent()
        && a.bytes().equals(b.bytes());
  }

  /** Whether constant tables are the cosine and sine of one angle a pair; others may be. */
  private boolean areOneAngle(RopeForm form, List<TableLane> cos, List<TableLane> sin) {
    for (int token = 0; token < SAMPLED_TOKENS; token++) {
      for (int i = 0; i < cos.size(); i++) {
        int other = form.partner(i, cos.size());
        OptionalDouble c = number(cos.get(i), token);
        OptionalDouble s = number(sin.get(i), token);
        if (differ(c, number(cos.get(other), token)) || differ(s, number(sin.get(other), token))) {
          return false;
        }
        if (c.isPresent() && s.isPresent()) {
          double length = Math.hypot(c.getAsDouble(), s.getAsDouble());
          if (Math.abs(length - 1) > TOLERANCE) {
            return false;
          }
        }
      }
    }
    return true;
  }

  private static boolean differ(OptionalDouble a, OptionalDouble b) {
    return a.isPresent()
        && b.isPresent()
        && Math.abs(a.getAsDouble() - b.getAsDouble()) > TOLERANCE;
  }

  /** A table's element of one token, if it is a constant. */
  private OptionalDouble number(TableLane lane, int token) {
    Optional<Element> element = Optional.of(at(lane.element(), token));
    double sign = lane.sign();
    for (int i = 0; i < MAX_PEELED && element.isPresent(); i++) {
      Optional<Tensor> constant =
          facts.constant(element.get().value()).or(element.get().value()::constant);
      if (constant.isPresent()) {
        return number(constant.get(), element.get().at(), sign);
      }
      Step step = trace.of(element.get());
      if (step instanceof Step.Signed signed) {
        sign *= signed.sign();
        element = Optional.of(signed.from());
      } else {
        element = step instanceof Step.Same same ? Optional.of(same.from()) : Optional.empty();
      }
    }
    return OptionalDouble.empty();
  }

  private final Map<Tensor, Optional<double[]>> numbers = new HashMap<>();

  private OptionalDouble number(Tensor tensor, List<Index> at, double sign) {
    long[] dims = tensor.dims();
    long place = 0;
    for (int axis = 0; axis < dims.length; axis++) {
      if (!(at.get(axis) instanceof Index.At index) || index.number() >= dims[axis]) {
        return OptionalDouble.empty();
      }
      place = place * dims[axis] + index.number();
    }
    Optional<double[]> all = numbers.computeIfAbsent(tensor, Tensor::doubles);
    return all.isPresent() && place < all.get().length
        ? OptionalDouble.of(sign * all.get()[(int) place])
        : OptionalDouble.empty();
  }

  /** The element with a number for each symbol. */
  private static Element at(Element element, int token) {
    return new Element(
        element.value(), element.at().stream().map(index -> at(index, token)).toList());
  }

  private static Index at(Index index, int token) {
    if (index instanceof Index.Along along) {
      long place = along.symbol().isToken() ? token : 0;
      return along.low().isConstant()
          ? new Index.At(along.low().constant().getAsLong() + place)
          : index;
    }
    if (index instanceof Index.Joined joined) {
      return Index.join(
          joined.digits().stream()
              .map(digit -> new Index.Digit(at(digit.index(), token), digit.size()))
              .toList());
    }
    return index;
  }

  /** Tables that a rotation reads. */
  static Set<Value> tables(Rotation rotation) {
    Set<Value> values = new HashSet<>();
    rotation.cos().forEach(lane -> values.add(lane.element().value()));
    rotation.sin().forEach(lane -> values.add(lane.element().value()));
    return values;
  }
}
