package io.sparsedit.passes.qk;

import io.sparsedit.compiler.shape.Dim;

/**
 * An index that stands for any number of a range. Two of one name are equal, so that what was found
 * for one run of tokens can be compared with what was found for another.
 *
 * @param name its name, unique in one trace
 * @param from the first number
 * @param size how many
 */
record Symbol(String name, Dim from, Dim size) {
  static final String BATCH = "b";
  static final String HEAD = "h";
  static final String TOKEN = "s";

  boolean isToken() {
    return name.equals(TOKEN);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Symbol symbol && symbol.name.equals(name);
  }

  @Override
  public int hashCode() {
    return name.hashCode();
  }
}
