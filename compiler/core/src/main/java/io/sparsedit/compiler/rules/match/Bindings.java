package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What an attempt has found so far: contents of slots, branches taken, nodes matched. Everything
 * can be undone back to a mark.
 */
final class Bindings {
  /** What a slot holds. */
  sealed interface Content {}

  /** A value of the graph. */
  record Bound(Value value) implements Content {}

  /** A datum: an attribute, a dimension or a let. */
  record Known(Datum datum) implements Content {}

  /** An expression that stands for the slot. */
  record Deferred(Expr expr) implements Content {}

  private static final int NOT_TAKEN = -1;

  private final @Nullable Content[] slots;
  private final int[] taken;
  private final List<Node> nodes = new ArrayList<>();
  private final List<Runnable> trail = new ArrayList<>();

  Bindings(Rule rule) {
    slots = new Content[rule.slotNames().size()];
    taken = new int[rule.choices()];
    Arrays.fill(taken, NOT_TAKEN);
  }

  Optional<Content> get(int slot) {
    return Optional.ofNullable(slots[slot]);
  }

  void set(int slot, Content content) {
    Content old = slots[slot];
    slots[slot] = content;
    trail.add(() -> slots[slot] = old);
  }

  /** Binds an empty slot, or says whether a full one holds the value. */
  boolean unify(int slot, Value value) {
    if (slot == Pattern.NO_SLOT) {
      return true;
    }
    Content content = slots[slot];
    if (content == null) {
      set(slot, new Bound(value));
      return true;
    }
    return content instanceof Bound bound && bound.value() == value;
  }

  void take(int choice, int branch) {
    int old = taken[choice];
    taken[choice] = branch;
    trail.add(() -> taken[choice] = old);
  }

  boolean isTaken(Expr.Branch branch) {
    return taken[branch.choice()] == branch.index();
  }

  boolean isTakenAny(List<Expr.Branch> branches) {
    for (Expr.Branch branch : branches) {
      if (isTaken(branch)) {
        return true;
      }
    }
    return false;
  }

  /** Adds a matched node. */
  void add(Node node) {
    if (!nodes.contains(node)) {
      nodes.add(node);
      trail.add(() -> nodes.remove(nodes.size() - 1));
    }
  }

  /** The matched nodes, root first; unmodifiable. */
  List<Node> nodes() {
    return Collections.unmodifiableList(nodes);
  }

  int mark() {
    return trail.size();
  }

  void undoTo(int mark) {
    for (int i = trail.size() - 1; i >= mark; i--) {
      trail.remove(i).run();
    }
  }
}
