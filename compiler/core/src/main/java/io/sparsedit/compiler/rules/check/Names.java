package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.match.Expr;
import io.sparsedit.compiler.rules.match.Pattern;
import io.sparsedit.compiler.rules.syntax.Span;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Slots, choices and definitions of the rule being compiled. */
final class Names {
  /** What a slot is used as. */
  enum Use {
    /** Any value. */
    VALUE,
    /** A constant of any size. */
    CONSTANT,
    /** A constant with one element. */
    SCALAR,
    /** A captured attribute. */
    ATTRIBUTE,
    /** An expression that an alternative gives with {@code with}. */
    COMPUTED,
    /** A dimension. */
    DIMENSION,
    /** A let. */
    LET;

    boolean isNumeric() {
      return this != VALUE && this != CONSTANT;
    }

    boolean isValue() {
      return this == VALUE || this == CONSTANT || this == SCALAR;
    }
  }

  /** A slot. */
  static final class Slot {
    final int index;
    final String name;
    final Span span;
    final List<Use> uses = new ArrayList<>();
    Kind kind = Kind.VALUE;

    /** Whether a {@code with} expression reads it. */
    boolean read;

    /** Slots that its {@code with} expressions read. */
    final List<Integer> computedFrom = new ArrayList<>();

    Slot(int index, String name, Span span) {
      this.index = index;
      this.name = name;
      this.span = span;
    }

    boolean isNumeric() {
      return uses.stream().anyMatch(Use::isNumeric);
    }

    boolean isAlwaysValue() {
      return uses.stream().allMatch(Use::isValue);
    }
  }

  /** Tags of a statement. */
  static final class Tags {
    final List<Expr.TaggedBranch> branches = new ArrayList<>();

    /** For every way through the alternatives, the tags on it. */
    List<List<String>> paths = List.of(List.of());

    /** The branch in which an optional operator is present. */
    Optional<Expr.Branch> presence = Optional.empty();

    List<String> names() {
      return branches.stream().map(Expr.TaggedBranch::tag).distinct().toList();
    }

    List<Expr.Branch> of(String tag) {
      return branches.stream()
          .filter(b -> b.tag().equals(tag))
          .map(Expr.TaggedBranch::branch)
          .toList();
    }
  }

  private final List<Slot> slots = new ArrayList<>();
  private final List<Integer> choiceSizes = new ArrayList<>();

  /** Definitions of slots, each after those it refers to. */
  final Map<Integer, Pattern> definitions = new LinkedHashMap<>();

  final Map<Integer, Pattern.Repeat> repeats = new HashMap<>();
  final Map<Integer, Tags> tags = new HashMap<>();

  /** Visible names of the rule: values, dimensions and lets. */
  final Map<String, Integer> visible = new LinkedHashMap<>();

  int newSlot(String name, Span span) {
    slots.add(new Slot(slots.size(), name, span));
    return slots.size() - 1;
  }

  int newChoice(int branches) {
    choiceSizes.add(branches);
    return choiceSizes.size() - 1;
  }

  Slot slot(int index) {
    return slots.get(index);
  }

  int slotCount() {
    return slots.size();
  }

  int choiceCount() {
    return choiceSizes.size();
  }

  int choiceSize(int choice) {
    return choiceSizes.get(choice);
  }

  List<String> slotNames() {
    List<String> names = new ArrayList<>();
    for (Slot slot : slots) {
      boolean shown = Integer.valueOf(slot.index).equals(visible.get(slot.name));
      names.add(shown ? slot.name : "");
    }
    return names;
  }
}
