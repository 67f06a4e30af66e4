package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.match.Pattern;
import io.sparsedit.compiler.rules.syntax.Name;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** The names that statements and arguments mean, in a rule, a block or a pattern's body. */
final class Scope {
  private final Optional<Scope> parent;
  private final Names names;
  private final boolean isRule;
  private final Map<String, Pattern> bound = new HashMap<>();
  private final Set<String> pending = new LinkedHashSet<>();
  private final Set<String> captured = new LinkedHashSet<>();

  private Scope(Optional<Scope> parent, Names names, boolean isRule) {
    this.parent = parent;
    this.names = names;
    this.isRule = isRule;
  }

  static Scope ofRule(Names names) {
    return new Scope(Optional.empty(), names, true);
  }

  /** A scope that does not see the names around it. */
  static Scope ofPattern(Names names) {
    return new Scope(Optional.empty(), names, false);
  }

  /** A scope whose captures are those of this one. */
  Scope block() {
    return new Scope(Optional.of(this), names, false);
  }

  /** Announces a name that a statement will define. */
  void announce(String name) {
    pending.add(name);
  }

  boolean isPending(String name) {
    return !bound.containsKey(name)
        && (pending.contains(name) || parent.map(p -> p.isPending(name)).orElse(false));
  }

  boolean isKnown(String name) {
    return bound.containsKey(name) || parent.map(p -> p.isKnown(name)).orElse(false);
  }

  /** Gives a name its meaning. */
  void bind(String name, Pattern meaning) {
    bound.put(name, meaning);
    if (isRule && meaning instanceof Pattern.Variable variable) {
      names.visible.put(name, variable.slot());
    }
  }

  /** What a name means; a new capture if nothing defines it. */
  Pattern resolve(Name name) {
    Optional<Pattern> meaning = find(name.text());
    if (meaning.isPresent()) {
      return meaning.get();
    }
    Scope owner = this;
    while (owner.parent.isPresent()) {
      owner = owner.parent.get();
    }
    Pattern capture = new Pattern.Variable(names.newSlot(name.text(), name.span()));
    owner.captured.add(name.text());
    owner.bind(name.text(), capture);
    return capture;
  }

  Optional<Pattern> find(String name) {
    Pattern meaning = bound.get(name);
    return meaning != null ? Optional.of(meaning) : parent.flatMap(p -> p.find(name));
  }

  /** Names that stand for whatever is found, rather than for a statement. */
  Set<String> captured() {
    return captured;
  }

  /** All names that can be seen. */
  Set<String> all() {
    Set<String> all = new LinkedHashSet<>(bound.keySet());
    parent.ifPresent(p -> all.addAll(p.all()));
    return all;
  }
}
