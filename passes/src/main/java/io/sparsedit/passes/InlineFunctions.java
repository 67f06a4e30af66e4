package io.sparsedit.passes;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.ModelCopy;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Puts the bodies of model-local functions in the place of their calls.
 *
 * <pre>
 *   before   y = my.Block(x) { heads = 2 }            function my.Block(x) { t = ...; y = ... }
 *   after    t = ...
 *            y = ...
 * </pre>
 *
 * <p>Exporters write a function a module, or one for each operator of the framework: attention is
 * then spread over several of them. A function that uses another version of an operator set than
 * the model is left alone.
 */
final class InlineFunctions implements Pass<Compilation> {
  /** Calls within calls; more are taken for endless. */
  private static final int MAX_DEPTH = 64;

  private static final int MAX_CALLS = 1_000_000;

  @Override
  public String name() {
    return "inline functions";
  }

  @Override
  public int run(Compilation compilation) {
    Model model = compilation.model();
    if (model.functions().isEmpty()) {
      return 0;
    }
    int inlined = 0;
    for (int depth = 0; ; depth++) {
      int calls = inlineIn(model.graph(), model);
      inlined += calls;
      if (calls == 0) {
        break;
      }
      if (depth == MAX_DEPTH || inlined > MAX_CALLS) {
        throw SparsifyException.failure(
            compilation.file()
                + ": functions call one another endlessly, more than "
                + MAX_DEPTH
                + " deep or "
                + MAX_CALLS
                + " times. A function of an ONNX model must not call itself.");
      }
    }
    Set<Function> called = new HashSet<>();
    collectCalled(model.graph(), model, called);
    model.functions().retainAll(called);
    return inlined;
  }

  /** One level of calls, in the graph and in its subgraphs. */
  private static int inlineIn(Graph graph, Model model) {
    int inlined = 0;
    for (Node node : graph.nodeList()) {
      Optional<Function> function = model.functionOf(node);
      if (function.isPresent() && agree(function.get(), model)) {
        inline(node, function.get(), model);
        inlined++;
      } else {
        for (Graph subgraph : node.subgraphs()) {
          inlined += inlineIn(subgraph, model);
        }
      }
    }
    return inlined;
  }

  /** Whether the body's operators mean the same in the model; domains it lacks are added. */
  private static boolean agree(Function function, Model model) {
    return function.opsets().entrySet().stream()
        .allMatch(
            opset ->
                opset
                    .getValue()
                    .equals(model.opsets().getOrDefault(opset.getKey(), opset.getValue())));
  }

  private static void inline(Node call, Function function, Model model) {
    function.opsets().forEach(model.opsets()::putIfAbsent);
    Map<Value, Value> arguments = new HashMap<>();
    List<Value> inputs = function.body().inputs();
    for (int i = 0; i < inputs.size(); i++) {
      Value input = inputs.get(i);
      call.input(i).ifPresent(argument -> arguments.put(input, argument));
    }
    Map<String, Attribute> attributes = new HashMap<>(function.attributeDefaults());
    attributes.putAll(call.attributes());
    List<Value> results = ModelCopy.inline(function.body(), call, arguments, attributes);
    call.replaceWith(results);
  }

  private static void collectCalled(Graph graph, Model model, Set<Function> called) {
    for (Node node : graph.nodes()) {
      Optional<Function> function = model.functionOf(node);
      if (function.isPresent() && called.add(function.get())) {
        collectCalled(function.get().body(), model, called);
      }
      node.subgraphs().forEach(subgraph -> collectCalled(subgraph, model, called));
    }
  }
}
