package io.sparsedit.compiler;

/** Where long work says how far it is. */
public interface Progress {
  /** Says nothing. */
  Progress SILENT = stage -> {};

  /**
   * A new stage of the work has begun.
   *
   * @param stage what is being done, as a verb phrase: "verify with everything kept"
   */
  void stage(String stage);

  /**
   * How far the stage is; for somebody who watches, and old news when the next one comes.
   *
   * @param detail as in "120 of 834"
   */
  default void detail(String detail) {}
}
