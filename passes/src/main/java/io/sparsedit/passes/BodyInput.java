package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.Optional;

/**
 * An input of the body of a Loop or a Scan.
 *
 * @param outer what the node is given for it; nothing for a loop's counter and condition
 * @param scannedAxis the axis along which a Scan takes slices; -1 if it takes the whole
 */
record BodyInput(List<Value> outer, int scannedAxis) {
  /** What the value is, if it is an input of a body. */
  static Optional<BodyInput> of(Value value) {
    Graph body = value.graph();
    int index = body.parent().isPresent() ? body.inputs().indexOf(value) : -1;
    Optional<Node> owner = index < 0 ? Optional.empty() : Subgraphs.owner(body);
    if (owner.isEmpty()) {
      return Optional.empty();
    }
    Node node = owner.get();
    Optional<Value> given = node.input(index);
    if (node.is("Loop")) {
      return Optional.of(new BodyInput(index < 2 ? List.of() : given.stream().toList(), -1));
    }
    int states = node.inputCount() - Math.toIntExact(node.intAttribute("num_scan_inputs", 0));
    int axis = -1;
    if (index >= states) {
      axis =
          node.intsAttribute("scan_input_axes")
              .map(axes -> Math.toIntExact(axes.get(index - states)))
              .orElse(0);
    }
    return Optional.of(new BodyInput(given.stream().toList(), axis));
  }
}
