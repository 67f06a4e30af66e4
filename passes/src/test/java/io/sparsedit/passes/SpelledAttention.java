package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Tests of a list of spellings: attention is found with its kind and sizes; after every pass the
 * graph is well formed and computes what it did; taken back, the site is what the exporter wrote.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class SpelledAttention {
  private final List<Spelling> spellings = new ArrayList<>();

  /** Adds the spellings to the list. */
  abstract void addSpellings();

  /** A spelling of which canonical nodes say all that is computed. */
  final void add(String name, int opset, String expected, Function<SpelledGraph, Value> attention) {
    spellings.add(new Spelling(name, opset, attention, expected, true));
  }

  /** A spelling of which they do not. */
  final void addInexact(
      String name, int opset, String expected, Function<SpelledGraph, Value> attention) {
    spellings.add(new Spelling(name, opset, attention, expected, false));
  }

  List<Spelling> spellings() {
    addSpellings();
    return spellings;
  }

  @ParameterizedTest
  @MethodSource("spellings")
  void isFoundAndMeansTheSame(Spelling spelling) {
    spelling.check();
  }
}
