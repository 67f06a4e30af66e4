package io.sparsedit.compiler.rules.syntax;

import io.sparsedit.compiler.SparsifyException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Collects what is wrong with a set of rule files. */
public final class Problems {
  private static final int SHOWN = 20;

  private final List<Problem> problems = new ArrayList<>();

  /** Adds one. */
  public void add(Problem problem) {
    if (!problems.contains(problem)) {
      problems.add(problem);
    }
  }

  /** Adds one whose message fills in the diagnostic's template. */
  public void add(Diagnostic diagnostic, Span span, Object... arguments) {
    add(Problem.of(diagnostic, span, arguments));
  }

  /** All, in the order they were found; unmodifiable. */
  public List<Problem> all() {
    return Collections.unmodifiableList(problems);
  }

  /** Throws an exception that shows the problems, if there are any. */
  public void throwIfAny() {
    if (problems.isEmpty()) {
      return;
    }
    StringBuilder message = new StringBuilder();
    for (Problem problem : problems.subList(0, Math.min(SHOWN, problems.size()))) {
      message.append(message.isEmpty() ? "" : "\n").append(problem);
    }
    if (problems.size() > SHOWN) {
      message.append("\n").append(problems.size() - SHOWN).append(" more errors");
    }
    throw SparsifyException.failure(message.toString());
  }
}
