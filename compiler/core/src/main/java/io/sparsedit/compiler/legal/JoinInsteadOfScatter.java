package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.LongStream;

/**
 * Joins parts that scatters put together, one after the other, into a tensor that they fill.
 *
 * <pre>
 *   before   y = ScatterND(ScatterND(empty, grid of lanes 0 2 4..., a), grid of lanes 1 3 5..., b)
 *   after    y = Reshape(Concat(Unsqueeze(a), Unsqueeze(b)))
 * </pre>
 *
 * PyTorch's exporters write {@code out[..., 0::2] = a; out[..., 1::2] = b} so, as in Wan's rotary
 * embedding: TorchScript with a grid of as many indices as there are elements, computed from
 * constants, and dynamo with the lanes as the first axis between two transposes, which go as well.
 * The parts may also follow one another ({@code out[..., :n]}, {@code out[..., n:]}). On a Wan 2.1
 * block the joined form takes less time and memory (docs/decisions.md).
 */
final class JoinInsteadOfScatter implements Pass<EngineModel> {
  @Override
  public String name() {
    return "join instead of scattering";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      boolean last = isPlainScatter(node) && !isData(node.output());
      if (last && node.isAttached() && new Rewrite(node, model).apply()) {
        changed++;
      }
    }
    return changed;
  }

  private static boolean isPlainScatter(Node node) {
    return node.is("ScatterND") && node.stringAttribute("reduction", "none").equals("none");
  }

  /** Whether a value is what another scatter begins with, and nothing else. */
  private static boolean isData(Value value) {
    return !value.isGraphOutput()
        && value.uses().size() == 1
        && value.uses().get(0).index() == 0
        && isPlainScatter(value.uses().get(0).node());
  }

  /**
   * What one scatter puts where.
   *
   * @param axis the axis along which it fills a part; it fills all of the others
   * @param positions where along the axis, in the order of the update
   * @param update what it puts there
   */
  private record Part(int axis, List<Long> positions, Value update) {
    long start() {
      return positions.get(0);
    }

    /** The distance of the positions; 0 if they have none in common. */
    long step() {
      long step = positions.size() > 1 ? positions.get(1) - positions.get(0) : 1;
      for (int i = 1; i < positions.size(); i++) {
        if (positions.get(i) - positions.get(i - 1) != step) {
          return 0;
        }
      }
      return step;
    }
  }

  /** The rewrite of a chain of scatters that ends in a node. */
  private static final class Rewrite {
    private final Node node;
    private final Emit emit;
    private final ShapeTable facts;
    private final List<Dim> shape;

    Rewrite(Node node, EngineModel model) {
      this.node = node;
      this.emit = new Emit(node, model.model().opset());
      this.facts = model.facts();
      this.shape = facts.shape(node.output()).orElse(List.of());
    }

    boolean apply() {
      List<Part> parts = parts();
      if (parts.isEmpty()) {
        return false;
      }
      int axis = parts.get(0).axis();
      OptionalLong size = shape.get(axis).constant();
      if (size.isEmpty() || parts.stream().anyMatch(part -> part.axis() != axis)) {
        return false;
      }
      parts.sort(Comparator.comparingLong(Part::start));
      Optional<long[]> perm = perm(parts);
      // In the order that the parts have before they are turned, if all are turned alike.
      int joined = perm.isPresent() ? Math.toIntExact(perm.get()[axis]) : axis;
      Value[] values = new Value[parts.size()];
      for (int i = 0; i < values.length; i++) {
        Value update = parts.get(i).update();
        values[i] = perm.isPresent() ? Emit.owner(update).requiredInput(0) : update;
      }
      Value result;
      if (follow(parts, size.getAsLong())) {
        result = emit.concat(joined, values);
      } else if (alternate(parts, size.getAsLong())) {
        result = alternated(joined, size.getAsLong(), values);
      } else {
        return false;
      }
      finish(result, perm);
      return true;
    }

    /** The scatters' parts; none if one of them is not understood. */
    private List<Part> parts() {
      List<Part> parts = new ArrayList<>();
      for (Node scatter = node; ; ) {
        Optional<Part> part = part(scatter);
        if (part.isEmpty()) {
          return List.of();
        }
        parts.add(part.get());
        Optional<Node> before = scatter.requiredInput(0).producer();
        if (before.isEmpty() || !isPlainScatter(before.get()) || !isData(before.get().output())) {
          return parts.size() > 1 ? parts : List.of();
        }
        scatter = before.get();
      }
    }

    private Optional<Part> part(Node scatter) {
      Value indices = scatter.requiredInput(1);
      Value update = scatter.requiredInput(2);
      List<Dim> grid = facts.shape(indices).orElse(List.of());
      if (grid.isEmpty() || shape.isEmpty()) {
        return Optional.empty();
      }
      long width = grid.get(grid.size() - 1).constant().orElse(0);
      if (width == 1 && grid.size() == 2) {
        return facts
            .constant(indices)
            .flatMap(Tensor::longs)
            .filter(positions -> positions.length > 0)
            .map(positions -> new Part(0, list(positions), update));
      }
      return width == shape.size() && grid.size() == shape.size() + 1
          ? gridPart(indices, update)
          : Optional.empty();
    }

    private static List<Long> list(long[] elements) {
      return Arrays.stream(elements).boxed().toList();
    }

    /** A part whose indices name every axis, one component each. */
    private Optional<Part> gridPart(Value indices, Value update) {
      Optional<Node> concat = indices.producer().filter(producer -> producer.is("Concat"));
      if (concat.isEmpty() || concat.get().inputCount() != shape.size()) {
        return Optional.empty();
      }
      Optional<Part> found = Optional.empty();
      for (int axis = 0; axis < shape.size(); axis++) {
        Optional<long[]> positions = positions(concat.get().requiredInput(axis), axis);
        OptionalLong size = shape.get(axis).constant();
        if (positions.isEmpty() || size.isEmpty()) {
          return Optional.empty();
        }
        boolean all =
            Arrays.equals(positions.get(), LongStream.range(0, size.getAsLong()).toArray());
        if (!all) {
          if (found.isPresent()) {
            return Optional.empty();
          }
          found = Optional.of(new Part(axis, list(positions.get()), update));
        }
      }
      return found;
    }

    /** What a component is along its own axis, if it depends on no other. */
    private Optional<long[]> positions(Value component, int axis) {
      int rank = shape.size();
      List<Dim> dims = facts.shape(component).orElse(List.of());
      if (dims.size() != rank + 1 || !dims.get(rank).is(1)) {
        return Optional.empty();
      }
      Value source = component;
      int behind = 0; // axes of size 1 that were put behind
      while (source.producer().isPresent()) {
        Node producer = source.producer().get();
        if (producer.is("Unsqueeze") && addsLast(producer)) {
          behind++;
        } else if (!producer.is("Expand") && !producer.is("Identity")) {
          break;
        }
        source = producer.requiredInput(0);
      }
      Optional<Tensor> tensor = facts.constant(source);
      Optional<long[]> elements = tensor.flatMap(Tensor::longs);
      if (elements.isEmpty() || behind > 1) {
        return Optional.empty();
      }
      // Broadcasting counts axes from the last.
      long[] own = tensor.get().dims();
      int place = axis - (rank + 1 - behind - own.length);
      for (int i = 0; i < own.length; i++) {
        if (own[i] != 1 && i != place) {
          return Optional.empty();
        }
      }
      OptionalLong size = dims.get(axis).constant();
      return size.isPresent() && elements.get().length == size.getAsLong()
          ? elements
          : Optional.empty();
    }

    private boolean addsLast(Node unsqueeze) {
      Optional<long[]> axes =
          unsqueeze
              .intsAttribute("axes")
              .map(list -> list.stream().mapToLong(Long::longValue).toArray())
              .or(() -> unsqueeze.input(1).flatMap(facts::constant).flatMap(Tensor::longs));
      int rank = facts.shape(unsqueeze.output()).map(List::size).orElse(0);
      return axes.isPresent()
          && axes.get().length == 1
          && (axes.get()[0] == -1 || axes.get()[0] == rank - 1);
    }

    /** Whether the parts follow one another without a gap. */
    private static boolean follow(List<Part> parts, long size) {
      long next = 0;
      for (Part part : parts) {
        if (part.step() != 1 || part.start() != next) {
          return false;
        }
        next += part.positions().size();
      }
      return next == size;
    }

    /** Whether the parts take turns. */
    private static boolean alternate(List<Part> parts, long size) {
      for (int i = 0; i < parts.size(); i++) {
        Part part = parts.get(i);
        boolean single = part.positions().size() == 1;
        if (part.start() != i
            || (part.step() != parts.size() && !single)
            || (long) part.positions().size() * parts.size() != size) {
          return false;
        }
      }
      return true;
    }

    private Value alternated(int axis, long size, Value... values) {
      Value[] columns = new Value[values.length];
      for (int i = 0; i < values.length; i++) {
        columns[i] = emit.unsqueeze(values[i], axis + 1L);
      }
      Value stacked = emit.concat(axis + 1L, columns);
      if (axis == shape.size() - 1) {
        long[] dims = new long[shape.size()];
        dims[axis] = size;
        return emit.reshape(stacked, dims);
      }
      Value dims = emit.node("Shape", values[0]);
      Value merged =
          emit.concat(
              0,
              emit.slice(dims, 0, 0, axis),
              emit.ints("lanes", size),
              emit.slice(dims, 0, axis + 1L, Long.MAX_VALUE));
      return emit.node("Reshape", stacked, merged);
    }

    /** The permutation that all parts went through last, if it is one. */
    private static Optional<long[]> perm(List<Part> parts) {
      Optional<List<Long>> common = Optional.empty();
      for (Part part : parts) {
        Optional<List<Long>> own =
            part.update()
                .producer()
                .filter(producer -> producer.is("Transpose"))
                .flatMap(producer -> producer.intsAttribute("perm"));
        if (own.isEmpty() || (common.isPresent() && !common.equals(own))) {
          return Optional.empty();
        }
        common = own;
      }
      return common.map(list -> list.stream().mapToLong(Long::longValue).toArray());
    }

    /** The result in the place of the node; transpositions of it are composed. */
    private void finish(Value result, Optional<long[]> perm) {
      Value output = node.output();
      if (perm.isPresent()) {
        for (Value.Use use : List.copyOf(output.uses())) {
          Node reader = use.node();
          Optional<List<Long>> then = reader.intsAttribute("perm");
          if (reader.is("Transpose")
              && then.isPresent()
              && reader.graph() == node.graph()
              && !reader.output().isGraphOutput()) {
            long[] both = then.get().stream().mapToLong(i -> perm.get()[i.intValue()]).toArray();
            boolean same = Arrays.equals(both, LongStream.range(0, both.length).toArray());
            reader.output().replaceAllUsesWith(same ? result : emit.transpose(result, both));
            reader.graph().remove(reader);
          }
        }
      }
      emit.replace(
          List.of(
              perm.isPresent() && !output.isUnused()
                  ? emit.transpose(result, perm.get())
                  : result));
    }
  }
}
