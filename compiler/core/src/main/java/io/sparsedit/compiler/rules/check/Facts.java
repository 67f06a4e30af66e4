package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.match.Expr;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * What is known where an expression stands, from the conditions around it.
 *
 * @param allowed branches that a choice may have taken; a choice that is missing may have taken any
 * @param present slots that hold something
 */
record Facts(Map<Integer, Set<Integer>> allowed, Set<Integer> present) {
  static final Facts NONE = new Facts(Map.of(), Set.of());

  /** What is known besides if an expression is true, or if it is false. */
  Facts given(Expr expr, boolean truth, Names names) {
    if (expr instanceof Expr.Not not) {
      return given(not.operand(), !truth, names);
    }
    if (expr instanceof Expr.Logic logic && logic.conjunction() == truth) {
      return given(logic.left(), truth, names).given(logic.right(), truth, names);
    }
    if (expr instanceof Expr.Logic logic) {
      return given(logic.left(), truth, names).or(given(logic.right(), truth, names));
    }
    if (expr instanceof Expr.Bound bound && truth) {
      Set<Integer> more = new HashSet<>(present);
      more.add(bound.slot());
      return new Facts(allowed, more);
    }
    if (expr instanceof Expr.Taken taken) {
      return truth ? taken(taken, names) : notTaken(taken, names);
    }
    return this;
  }

  /** What is known if one of two is. */
  private Facts or(Facts other) {
    Map<Integer, Set<Integer>> common = new HashMap<>();
    allowed.forEach(
        (choice, branches) -> {
          Set<Integer> others = other.allowed.get(choice);
          if (others != null) {
            Set<Integer> union = new HashSet<>(branches);
            union.addAll(others);
            common.put(choice, union);
          }
        });
    Set<Integer> both = new HashSet<>(present);
    both.retainAll(other.present);
    return new Facts(common, both);
  }

  private Facts taken(Expr.Taken taken, Names names) {
    Set<Integer> branches = new HashSet<>();
    int choice = -1;
    for (Expr.Branch branch : taken.branches()) {
      if (choice >= 0 && choice != branch.choice()) {
        return this;
      }
      choice = branch.choice();
      branches.add(branch.index());
    }
    return choice < 0 ? this : restricted(choice, branches, names);
  }

  private Facts notTaken(Expr.Taken taken, Names names) {
    Facts facts = this;
    for (Expr.Branch branch : taken.branches()) {
      Set<Integer> others = new HashSet<>(facts.branches(branch.choice(), names));
      others.remove(branch.index());
      facts = facts.restricted(branch.choice(), others, names);
    }
    return facts;
  }

  private Facts restricted(int choice, Set<Integer> branches, Names names) {
    Map<Integer, Set<Integer>> more = new HashMap<>(allowed);
    Set<Integer> remaining = new HashSet<>(branches(choice, names));
    remaining.retainAll(branches);
    more.put(choice, remaining);
    return new Facts(more, present);
  }

  /** The branches that a choice may have taken. */
  Set<Integer> branches(int choice, Names names) {
    Set<Integer> known = allowed.get(choice);
    if (known != null) {
      return known;
    }
    Set<Integer> all = new HashSet<>();
    for (int i = 0; i < names.choiceSize(choice); i++) {
      all.add(i);
    }
    return all;
  }
}
