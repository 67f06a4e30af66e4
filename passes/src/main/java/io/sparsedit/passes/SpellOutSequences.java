package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Does without sequences of tensors where it is known which tensor is taken out.
 *
 * <pre>
 *   before   y = SequenceAt(SplitToSequence(x, [8, 8, 4]) { axis = 2 }, 1)
 *   after    y = Slice(x, [8], [16], [2])
 *
 *   before   y = SequenceAt(SplitToSequence(x) { axis = 0, keepdims = 0 }, -1)
 *   after    y = Gather(x, -1) { axis = 0 }
 *
 *   before   y = SequenceAt(SequenceConstruct(a, b), 1), ConcatFromSequence(SequenceConstruct(a, b))
 *   after    y = b,                                      Concat(a, b)
 * </pre>
 *
 * TorchScript exports tensors that it splits or unbinds as sequences where it does not know their
 * number. The shapes of what sequences hold are not inferred.
 */
final class SpellOutSequences implements Pass<Compilation> {
  @Override
  public String name() {
    return "spell out sequences";
  }

  @Override
  public int run(Compilation compilation) {
    ValueFacts facts = compilation.facts();
    return EachNode.rewrite(compilation.model().graph(), node -> spellOut(node, facts));
  }

  private static boolean spellOut(Node node, ValueFacts facts) {
    Optional<Node> sequence =
        node.is("SequenceAt") || node.is("ConcatFromSequence")
            ? node.requiredInput(0).producer()
            : Optional.<Node>empty();
    Optional<Value> tensor =
        sequence.flatMap(
            made -> node.is("SequenceAt") ? taken(node, made, facts) : joined(node, made));
    tensor.ifPresent(value -> node.replaceWith(List.of(value)));
    return tensor.isPresent();
  }

  private static Optional<Value> taken(Node at, Node sequence, ValueFacts facts) {
    OptionalLong index = number(at.requiredInput(1), facts);
    if (index.isEmpty()) {
      return Optional.empty();
    }
    if (sequence.is("SequenceConstruct")) {
      return place(index.getAsLong(), sequence.inputCount()).map(sequence::requiredInput);
    }
    if (!sequence.is("SplitToSequence")) {
      return Optional.empty();
    }
    long axis = sequence.intAttribute("axis", 0);
    if (sequence.input(1).isEmpty()) {
      boolean keeps = sequence.intAttribute("keepdims", 1) != 0;
      Tensor where = keeps ? Tensor.vector(index.getAsLong()) : Tensor.scalar(index.getAsLong());
      Value gathered =
          new Inserter(at)
              .node("Gather", sequence.requiredInput(0), at.graph().addConstant("index", where));
      gathered.producer().orElseThrow().setAttribute("axis", axis);
      return Optional.of(gathered);
    }
    Optional<Tensor> sizes = facts.constant(sequence.requiredInput(1));
    if (sizes.isEmpty() || sizes.get().longs().isEmpty()) {
      return Optional.empty();
    }
    return part(at, sequence, axis, index.getAsLong(), sizes.get());
  }

  /** A part of a tensor that is split into parts of given sizes, or of one size. */
  private static Optional<Value> part(Node at, Node sequence, long axis, long index, Tensor sizes) {
    long[] lengths = sizes.longs().orElseThrow();
    long from;
    long to;
    if (sizes.dims().length == 0) {
      if (index < 0) {
        return Optional.empty();
      }
      // The last part may be smaller: Slice ends with the axis.
      from = index * lengths[0];
      to = from + lengths[0];
    } else {
      Optional<Integer> place = place(index, lengths.length);
      if (place.isEmpty()) {
        return Optional.empty();
      }
      from = 0;
      for (int i = 0; i < place.get(); i++) {
        from += lengths[i];
      }
      to = from + lengths[place.get()];
    }
    Graph graph = at.graph();
    return Optional.of(
        new Inserter(at)
            .node(
                "Slice",
                sequence.requiredInput(0),
                graph.addConstant("from", Tensor.vector(from)),
                graph.addConstant("to", Tensor.vector(to)),
                graph.addConstant("axis", Tensor.vector(axis))));
  }

  private static Optional<Integer> place(long index, int count) {
    long place = index < 0 ? index + count : index;
    return place < 0 || place >= count ? Optional.empty() : Optional.of((int) place);
  }

  private static Optional<Value> joined(Node concat, Node sequence) {
    Optional<Attribute> axis = concat.attribute("axis");
    if (!sequence.is("SequenceConstruct") || axis.isEmpty()) {
      return Optional.empty();
    }
    boolean stacks = concat.intAttribute("new_axis", 0) != 0;
    Inserter insert = new Inserter(concat);
    List<Value> parts = new ArrayList<>();
    for (Value part : sequence.presentInputs()) {
      parts.add(stacks ? insert.unsqueeze(part, concat.intAttribute("axis", 0)) : part);
    }
    Value whole = insert.node("Concat", parts.toArray(Value[]::new));
    whole.producer().orElseThrow().setAttribute("axis", axis.get());
    return Optional.of(whole);
  }

  private static OptionalLong number(Value value, ValueFacts facts) {
    Optional<long[]> elements = facts.constant(value).flatMap(Tensor::longs);
    return elements.isPresent() && elements.get().length == 1
        ? OptionalLong.of(elements.get()[0])
        : OptionalLong.empty();
  }
}
