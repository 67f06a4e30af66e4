package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.rules.syntax.Span;
import java.util.List;
import java.util.Optional;

/**
 * What a value must be computed by. Patterns are trees; sharing goes through {@link Variable}s,
 * which are matched once and then stand for the value found.
 */
public sealed interface Pattern {
  /** Marks a place without a slot. */
  int NO_SLOT = -1;

  /**
   * An output of an operator.
   *
   * @param domain the operator's domain; empty for the default one
   * @param type the operator
   * @param args patterns of the inputs
   * @param rest whether further inputs may stand before or after those
   * @param commutative whether the inputs may come in any order
   * @param attributes conditions on attributes
   * @param outputs slots of the outputs, {@link #NO_SLOT} for one without a name; empty means that
   *     the value is the first output and the others are not used
   * @param span where it is written
   */
  record Op(
      String domain,
      String type,
      List<Argument> args,
      Rest rest,
      boolean commutative,
      List<AttributeCondition> attributes,
      List<Integer> outputs,
      Span span)
      implements Pattern {
    /** The operator with its domain. */
    public String qualifiedType() {
      return domain.isEmpty() ? type : domain + "." + type;
    }
  }

  /** Where inputs that the pattern does not name may stand. */
  enum Rest {
    NOWHERE,
    BEFORE,
    AFTER,
    AROUND;

    boolean before() {
      return this == BEFORE || this == AROUND;
    }

    boolean after() {
      return this == AFTER || this == AROUND;
    }
  }

  /**
   * An input.
   *
   * @param optionalChoice the choice that records whether an optional input is present (branch 0)
   *     or absent (branch 1)
   */
  record Argument(Pattern pattern, Optional<Integer> optionalChoice) {}

  /** The value of the slot; if the slot is empty, any value that its definition matches. */
  record Variable(int slot) implements Pattern {}

  /** Any value. */
  record Anything() implements Pattern {}

  /** A value known at compile time; of one numeric element if {@code scalar}. */
  record Constant(int slot, boolean scalar) implements Pattern {}

  /** An input of the graph. */
  record GraphInput(int slot) implements Pattern {}

  /** A constant whose only element is the number. */
  record NumberIs(double value) implements Pattern {}

  /** One of several patterns, in order. */
  record Choice(int id, List<Branch> branches) implements Pattern {}

  /**
   * A branch of a choice.
   *
   * @param computed slots that get an expression if the branch is taken
   */
  record Branch(Pattern pattern, List<Computed> computed) {}

  /** A slot and the expression it stands for. */
  record Computed(int slot, Expr value) {}

  /** Any number of layers around a value; {@link Again} marks the value in the layer. */
  record Repeat(int id, Pattern layer, Pattern inner) implements Pattern {}

  /** The place in a layer where the next layer, or the value inside the last one, stands. */
  record Again(int id) implements Pattern {}

  /** A condition on an attribute. */
  sealed interface AttributeCondition {
    /** The attribute. */
    String name();

    /**
     * It equals one of the data.
     *
     * @param fallback the schema's default, which stands for an absent attribute
     * @param axis whether it is an axis, for which -1 and rank - 1 are the same
     */
    record OneOf(String name, List<Datum> data, Optional<Datum> fallback, boolean axis)
        implements AttributeCondition {}

    /**
     * Its value goes to a slot.
     *
     * @param fallback the schema's default, which stands for an absent attribute
     * @param optionalChoice the choice that records whether it is present (branch 0), where it may
     *     be absent
     */
    record Capture(
        String name, int slot, Optional<Datum> fallback, Optional<Integer> optionalChoice)
        implements AttributeCondition {}

    /** It is absent. */
    record Absent(String name) implements AttributeCondition {}
  }
}
