package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.match.Pattern;
import io.sparsedit.compiler.rules.match.Pattern.AttributeCondition;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * For every slot the alternatives under which a match fills it: found by walking the pattern from
 * the root, noting the branches on the way.
 */
final class Availability {
  private static final int MAX_VISITS = 5_000;
  private static final int MAX_SIMPLIFIED = 200;

  private final Names names;
  private final Map<Integer, List<Map<Integer, Integer>>> sites = new HashMap<>();
  private int visits;
  private int splits;

  private Availability(Names names) {
    this.names = names;
  }

  static Availability from(Pattern root, Names names) {
    Availability availability = new Availability(names);
    availability.visit(root, Map.of());
    // A definition refers to earlier ones only: going backwards, all ways to a slot are known
    // before its own definition is walked, and can be summed up.
    List<Integer> defined = new ArrayList<>(names.definitions.keySet());
    Collections.reverse(defined);
    for (int slot : defined) {
      List<Map<Integer, Integer>> chains = availability.sites.get(slot);
      Pattern definition = names.definitions.get(slot);
      if (chains != null && definition != null) {
        List<Map<Integer, Integer>> simplified = availability.simplify(chains);
        availability.sites.put(slot, new ArrayList<>(simplified));
        simplified.forEach(chain -> availability.visit(definition, chain));
      }
    }
    return availability;
  }

  /** Whether the walk was cut short, so that nothing can be said. */
  boolean isIncomplete() {
    return visits > MAX_VISITS;
  }

  boolean isReached(int slot) {
    return sites.containsKey(slot);
  }

  /** Whether a slot is filled in every match for which the facts hold, as far as can be told. */
  boolean isCertain(int slot, Facts facts) {
    splits = 0;
    return facts.present().contains(slot) || covers(sites.getOrDefault(slot, List.of()), facts);
  }

  private boolean covers(List<Map<Integer, Integer>> chains, Facts facts) {
    if (chains.isEmpty() || ++splits > MAX_VISITS) {
      return false;
    }
    for (Map<Integer, Integer> chain : chains) {
      if (chain.isEmpty()) {
        return true;
      }
    }
    int choice = chains.get(0).keySet().iterator().next();
    for (int branch : facts.branches(choice, names)) {
      List<Map<Integer, Integer>> remaining = new ArrayList<>();
      for (Map<Integer, Integer> chain : chains) {
        Integer taken = chain.get(choice);
        if (taken == null) {
          remaining.add(chain);
        } else if (taken == branch) {
          Map<Integer, Integer> rest = new HashMap<>(chain);
          rest.remove(choice);
          remaining.add(rest);
        }
      }
      if (!covers(remaining, facts)) {
        return false;
      }
    }
    return true;
  }

  /** Drops chains that others imply, and the choices all of whose branches occur. */
  private List<Map<Integer, Integer>> simplify(List<Map<Integer, Integer>> chains) {
    if (chains.size() > MAX_SIMPLIFIED) {
      return List.copyOf(chains);
    }
    Set<Map<Integer, Integer>> current = new LinkedHashSet<>(chains);
    boolean changed = true;
    while (changed) {
      changed = false;
      for (Map<Integer, Integer> chain : List.copyOf(current)) {
        for (int choice : chain.keySet()) {
          Set<Map<Integer, Integer>> siblings = new LinkedHashSet<>();
          for (int branch = 0; branch < names.choiceSize(choice); branch++) {
            siblings.add(with(chain, choice, branch));
          }
          if (current.containsAll(siblings)) {
            current.removeAll(siblings);
            Map<Integer, Integer> rest = new HashMap<>(chain);
            rest.remove(choice);
            current.add(rest);
            changed = true;
            break;
          }
        }
      }
      for (Map<Integer, Integer> chain : List.copyOf(current)) {
        changed |=
            current.removeIf(
                c -> c.size() > chain.size() && c.entrySet().containsAll(chain.entrySet()));
      }
    }
    return List.copyOf(current);
  }

  private void site(int slot, Map<Integer, Integer> chain) {
    if (slot != Pattern.NO_SLOT) {
      sites.computeIfAbsent(slot, s -> new ArrayList<>()).add(chain);
    }
  }

  private static Map<Integer, Integer> with(Map<Integer, Integer> chain, int choice, int branch) {
    Map<Integer, Integer> longer = new HashMap<>(chain);
    longer.put(choice, branch);
    return longer;
  }

  private void visit(Pattern pattern, Map<Integer, Integer> chain) {
    if (++visits > MAX_VISITS) {
      return;
    }
    if (pattern instanceof Pattern.Variable variable) {
      site(variable.slot(), chain);
    } else if (pattern instanceof Pattern.Constant constant) {
      site(constant.slot(), chain);
    } else if (pattern instanceof Pattern.GraphInput input) {
      site(input.slot(), chain);
    } else if (pattern instanceof Pattern.Repeat repeat) {
      visit(repeat.layer(), chain);
      visit(repeat.inner(), chain);
    } else if (pattern instanceof Pattern.Choice choice) {
      for (int i = 0; i < choice.branches().size(); i++) {
        Map<Integer, Integer> branchChain = with(chain, choice.id(), i);
        for (Pattern.Computed computed : choice.branches().get(i).computed()) {
          site(computed.slot(), branchChain);
        }
        visit(choice.branches().get(i).pattern(), branchChain);
      }
    } else if (pattern instanceof Pattern.Op op) {
      op.outputs().forEach(slot -> site(slot, chain));
      for (AttributeCondition attribute : op.attributes()) {
        if (attribute instanceof AttributeCondition.Capture capture) {
          site(capture.slot(), capture.optionalChoice().map(c -> with(chain, c, 0)).orElse(chain));
        }
      }
      for (Pattern.Argument arg : op.args()) {
        visit(arg.pattern(), arg.optionalChoice().map(c -> with(chain, c, 0)).orElse(chain));
      }
    }
  }
}
