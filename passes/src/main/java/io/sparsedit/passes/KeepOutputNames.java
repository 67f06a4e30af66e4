package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import java.util.List;

/**
 * Gives the model's outputs their names back where a rewrite has put another value in an output's
 * place.
 *
 * <pre>
 *   before   outputs: attention_3   (was: sample)
 *   after    outputs: sample
 * </pre>
 */
final class KeepOutputNames implements Pass<Compilation> {
  @Override
  public String name() {
    return "keep output names";
  }

  @Override
  public int run(Compilation compilation) {
    Graph graph = compilation.model().graph();
    List<String> names = compilation.originalOutputNames();
    int renamed = 0;
    for (int i = 0; i < names.size(); i++) {
      Value output = graph.outputs().get(i);
      String name = names.get(i);
      if (!output.name().equals(name)) {
        graph.value(name).ifPresent(other -> other.rename(graph.freshName(name)));
        output.rename(name);
        renamed++;
      }
    }
    return renamed;
  }
}
