package io.sparsedit.passes;

/** What a model that is made to be measured has beside what it computes. */
public enum Instrument {
  /**
   * Outputs {@code measured.s<site>.density} and {@code measured.s<site>.recall}, f32 [B,H] each:
   * of the step's plan, 1 on a dense step.
   */
  MEASURE_PLANS,
  /**
   * Activations rounded to float16 after every operator, sums and softmax in float32 still: the
   * noise that half precision brings by itself.
   */
  ROUND_ACTIVATIONS
}
