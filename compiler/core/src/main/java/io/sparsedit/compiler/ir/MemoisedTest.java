package io.sparsedit.compiler.ir;

import java.util.HashMap;
import java.util.Map;
import java.util.function.Predicate;

/**
 * A test of values that asks itself about others, such as a value's operands or readers. Each value
 * is looked at once, however many ways lead to it. The graph must not change in between.
 */
public final class MemoisedTest implements Predicate<Value> {
  /** The test itself. */
  @FunctionalInterface
  public interface Definition {
    /**
     * Tests one value.
     *
     * @param value the value
     * @param test asks the same about others; they must not lead back to the value
     */
    boolean holds(Value value, Predicate<Value> test);
  }

  private final Definition definition;
  private final Map<Value, Boolean> known = new HashMap<>();

  public MemoisedTest(Definition definition) {
    this.definition = definition;
  }

  @Override
  public boolean test(Value value) {
    Boolean answer = known.get(value);
    if (answer == null) {
      // Not computeIfAbsent: the map changes while the answer is found.
      answer = definition.holds(value, this);
      known.put(value, answer);
    }
    return answer;
  }
}
