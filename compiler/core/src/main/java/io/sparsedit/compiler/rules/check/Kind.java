package io.sparsedit.compiler.rules.check;

/** Static types of expressions. */
enum Kind {
  NUMBER("a number"),
  FLAG("a truth value"),
  TEXT("a string"),
  TYPE("an element type"),
  LIST("a list"),
  VALUE("a value of the graph"),
  /** Not known before matching. */
  ANY("anything");

  private final String words;

  Kind(String words) {
    this.words = words;
  }

  String words() {
    return words;
  }

  boolean fits(Kind wanted) {
    return this == wanted || this == ANY || wanted == ANY;
  }
}
