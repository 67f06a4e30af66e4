package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import java.nio.file.Path;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * A spelling of attention.
 *
 * @param name for people
 * @param opset version of the default operator set
 * @param attention builds it
 * @param expected the sites
 * @param exact whether canonical nodes say all of what is computed
 */
record Spelling(
    String name,
    int opset,
    Function<SpelledGraph, Value> attention,
    String expected,
    boolean exact) {
  @Override
  public String toString() {
    return name;
  }

  /** Found as expected, the same in ONNX Runtime after every pass, and what it was when undone. */
  void check() {
    SpelledGraph spelled = SpelledGraph.of(opset, attention);
    Model model = spelled.model();
    GraphVerifier.require(model);
    double[] before = CanonicalForm.output(model, spelled);
    Compilation compilation =
        new Compilation(Path.of("spelled.onnx"), model, CompileOptions.DEFAULT);

    for (Pass<Compilation> pass : Pipeline.recognition()) {
      int changes = pass.run(compilation);
      compilation.graphChanged();
      GraphVerifier.require(model);
      boolean canonical = !compilation.sites().isEmpty();
      if (changes > 0 && (exact || !canonical)) {
        assertThat(CanonicalForm.output(model, spelled))
            .as("after '%s'", pass.name())
            .containsExactly(before, within(1e-5));
      }
    }

    String found =
        compilation.sites().stream()
            .map(site -> describe(site, model))
            .collect(Collectors.joining(", "));
    if (found.isEmpty()) {
      // Which rule came closest does not matter.
      found =
          compilation.notUnderstood().stream()
              .map(item -> "none: " + item.reason().replaceAll(".*(found \\w+).*", "$1"))
              .collect(Collectors.joining(", "));
    }
    assertThat(found).isEqualTo(expected);

    compilation.sites().forEach(site -> site.recognition().undo());
    model.graph().removeDeadNodes();
    GraphVerifier.require(model);
    assertThat(Pipeline.operators(model)).doesNotContainKey("sparsedit.Attention");
    assertThat(CanonicalForm.output(model, spelled)).containsExactly(before, within(1e-5));
  }

  /** Such as {@code self 2 24 to 24 mask: it is causal}. */
  private static String describe(Site site, Model model) {
    return RandomGraph.describe(site)
        + DenseOnly.why(site.attention(), model.graph()).map(why -> ": " + why).orElse("");
  }
}
