package io.sparsedit.compiler.rules.match;

import java.util.List;
import java.util.Optional;

/**
 * The nodes that stand in for a match.
 *
 * @param builds statements in order
 * @param outputs for every output of the root, which built value replaces it; empty where the rule
 *     does not name the output
 */
public record Replacement(List<Build> builds, List<Optional<BuiltValue>> outputs) {
  /** One statement: the values that it defines are {@code BuiltValue(index of it, output)}. */
  public record Build(List<String> names, Input source) {}

  /** An output of a statement. */
  public record BuiltValue(int build, int output) {}

  /** Where an input comes from. */
  public sealed interface Input {
    /** A matched value; absent where the slot is empty and {@code optional}. */
    record Matched(int slot, String name, boolean optional) implements Input {}

    /** A value of an earlier statement. */
    record Built(BuiltValue value) implements Input {}

    /** A new constant. */
    record NewConstant(Expr value, Optional<Expr> type) implements Input {}

    /** The input of the first arm one of whose branches was taken. */
    record Pick(String name, List<PickArm> arms) implements Input {}

    /** No input. */
    record None() implements Input {}

    /** A new node. */
    record NewNode(String domain, String type, List<Input> inputs, List<Setting> settings)
        implements Input {}
  }

  /** One arm; without branches it is the else. */
  public record PickArm(List<Expr.Branch> branches, Input input) {}

  /**
   * An attribute of a new node.
   *
   * @param real whether an integer must become a FLOAT, because the operator's schema says so
   */
  public record Setting(String name, Expr value, boolean real) {}
}
