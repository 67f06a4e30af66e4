package io.sparsedit.compiler.pass;

import io.sparsedit.compiler.ir.Model;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Runs a list of passes in order.
 *
 * @param <C> the compilation that they work on
 */
public final class PassRunner<C> {
  private final List<Pass<C>> passes;
  private final Function<C, Model> model;
  private final Consumer<C> afterEach;

  /**
   * A runner.
   *
   * @param passes in order
   * @param model the model of a compilation
   * @param afterEach called after each pass that changed something: drops cached analyses, checks
   *     invariants
   */
  public PassRunner(List<Pass<C>> passes, Function<C, Model> model, Consumer<C> afterEach) {
    this.passes = List.copyOf(passes);
    this.model = model;
    this.afterEach = afterEach;
    Set<Property> established = new HashSet<>();
    for (Pass<C> pass : passes) {
      for (Property need : pass.needs()) {
        if (!established.contains(need)) {
          throw new IllegalArgumentException(
              "pass '" + pass.name() + "' needs " + need.name() + ", which no pass before it does");
        }
      }
      established.addAll(pass.establishes());
    }
  }

  /** The passes in order. */
  public List<Pass<C>> passes() {
    return passes;
  }

  /** Runs all passes and says what each did. */
  public List<PassRecord> run(C compilation) {
    List<PassRecord> records = new ArrayList<>();
    for (Pass<C> pass : passes) {
      int before = model.apply(compilation).graph().nodeCount();
      long start = System.nanoTime();
      int changes = pass.run(compilation);
      if (changes > 0) {
        afterEach.accept(compilation);
      }
      double millis = (System.nanoTime() - start) / 1e6;
      int after = model.apply(compilation).graph().nodeCount();
      records.add(new PassRecord(pass.name(), changes, before, after, millis));
    }
    return records;
  }
}
