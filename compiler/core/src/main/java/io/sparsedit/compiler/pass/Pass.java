package io.sparsedit.compiler.pass;

import java.util.Set;

/**
 * One step of a compilation. Stateless: all it reads and writes is in the context.
 *
 * @param <C> the compilation that it works on
 */
public interface Pass<C> {
  /** What it does, as a verb phrase in lower case: "fold constants". */
  String name();

  /** What must hold before. */
  default Set<? extends Property> needs() {
    return Set.of();
  }

  /** What holds afterwards. */
  default Set<? extends Property> establishes() {
    return Set.of();
  }

  /**
   * Does its work.
   *
   * @return how many changes it made or things it found; what that counts is the pass's own matter,
   *     but 0 means that the model is as it was
   */
  int run(C compilation);
}
