package io.sparsedit.runtime.compare;

import io.sparsedit.runtime.Action;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * One step of a comparison.
 *
 * @param round which of the rounds, from 0
 * @param step which of its steps, from 0
 * @param action what all sites did
 * @param outputs the error of each output, by name
 * @param state the error of each state tensor, by the name of its input
 * @param foundMillis how long the one that is compared took
 * @param wantedMillis how long the reference took
 */
public record ComparedStep(
    int round,
    int step,
    Action action,
    Map<String, TensorError> outputs,
    Map<String, TensorError> state,
    double foundMillis,
    double wantedMillis) {
  /** Keeps its own copies of the maps, in order. */
  public ComparedStep {
    outputs = Collections.unmodifiableMap(new LinkedHashMap<>(outputs));
    state = Collections.unmodifiableMap(new LinkedHashMap<>(state));
  }

  /** The worst of all outputs. */
  public TensorError output() {
    return worst(outputs);
  }

  /** The worst of all state. */
  public TensorError worstState() {
    return worst(state);
  }

  private static TensorError worst(Map<String, TensorError> errors) {
    return errors.values().stream().reduce(TensorError.NONE, TensorError::worse);
  }
}
