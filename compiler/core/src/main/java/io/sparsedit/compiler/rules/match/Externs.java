package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * The Java predicates and functions that rules may call after declaring them with {@code extern}.
 *
 * <pre>{@code
 * Externs externs = Externs.builder()
 *     .predicate("uniform", args -> isUniform(args.value(0), args.facts())
 *         ? Optional.empty() : Optional.of("rows differ"))
 *     .build();
 * }</pre>
 */
public final class Externs {
  /** Decides about its arguments; must not change the graph. */
  @FunctionalInterface
  public interface Predicate {
    /** Why it does not hold; empty if it does. */
    Optional<String> whyNot(Arguments args);
  }

  /** Computes something from its arguments; must not change the graph. */
  @FunctionalInterface
  public interface Function {
    /** The result; empty if it is not known. */
    Optional<Datum> apply(Arguments args);
  }

  /**
   * What a call passes; the declaration decides the types.
   *
   * @param data the arguments
   * @param facts what is known of the graph's values
   */
  public record Arguments(List<Datum> data, ValueFacts facts) {
    /** The argument, declared as {@code value}. */
    public Value value(int index) {
      return ((Datum.OfValue) data.get(index)).value();
    }

    /** The argument, declared as {@code number}. */
    public double number(int index) {
      return data.get(index)
          .number()
          .orElseThrow(() -> new IllegalStateException("not a number: " + data.get(index)));
    }

    /** The argument, declared as {@code string}. */
    public String string(int index) {
      return ((Datum.Text) data.get(index)).value();
    }
  }

  private final Map<String, Predicate> predicates;
  private final Map<String, Function> functions;

  private Externs(Map<String, Predicate> predicates, Map<String, Function> functions) {
    this.predicates = Map.copyOf(predicates);
    this.functions = Map.copyOf(functions);
  }

  /** No predicates, no functions. */
  public static Externs none() {
    return builder().build();
  }

  /** An empty table to fill. */
  public static Builder builder() {
    return new Builder();
  }

  /** The predicate of the given name. */
  public Optional<Predicate> predicate(String name) {
    return Optional.ofNullable(predicates.get(name));
  }

  /** The function of the given name. */
  public Optional<Function> function(String name) {
    return Optional.ofNullable(functions.get(name));
  }

  /** Names of all predicates or of all functions. */
  public Set<String> names(boolean predicate) {
    return predicate ? predicates.keySet() : functions.keySet();
  }

  /** Collects predicates and functions. */
  public static final class Builder {
    private final Map<String, Predicate> predicates = new LinkedHashMap<>();
    private final Map<String, Function> functions = new LinkedHashMap<>();

    private Builder() {}

    /** Adds a predicate. */
    public Builder predicate(String name, Predicate implementation) {
      if (predicates.putIfAbsent(name, implementation) != null) {
        throw new IllegalArgumentException("two predicates '" + name + "'");
      }
      return this;
    }

    /** Adds a function. */
    public Builder function(String name, Function implementation) {
      if (functions.putIfAbsent(name, implementation) != null) {
        throw new IllegalArgumentException("two functions '" + name + "'");
      }
      return this;
    }

    /** The table. */
    public Externs build() {
      return new Externs(predicates, functions);
    }
  }
}
