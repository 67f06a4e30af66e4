package io.sparsedit.compiler.pass;

/** Something a pass establishes about the model that a later pass may rely on; an enum constant. */
public interface Property {
  /** The constant's name. */
  String name();
}
