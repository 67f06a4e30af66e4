package io.sparsedit.cli.bench;

import io.sparsedit.runtime.BackendException;
import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.Model;
import java.util.List;
import java.util.Optional;

/** The dense engine of a bundle, that its sparse steps are compared with, if there is one. */
final class Baseline implements AutoCloseable {
  private final Optional<Model> model;
  private final List<String> notes;

  private Baseline(Optional<Model> model, List<String> notes) {
    this.model = model;
    this.notes = notes;
  }

  /**
   * Loads it, unless the bundle has none or no GPU is to be used or can be.
   *
   * @throws BackendException if there is one, and it cannot be used on the GPU that there is
   */
  static Baseline load(Bundle bundle, Model.Options options) {
    if (options.target() == Model.Target.ONNX_RUNTIME) {
      return none();
    }
    if (!bundle.hasDenseEngine()) {
      return new Baseline(
          Optional.empty(),
          List.of(
              "the bundle has no dense engine to compare with; build one: sparsify-model build "
                  + bundle.folder()
                  + " --dense"));
    }
    try {
      return new Baseline(
          Optional.of(Model.load(bundle.folder(), options.withDense(true))), List.of());
    } catch (BackendException e) {
      if (options.target() == Model.Target.AUTO && e.reason() == BackendException.Reason.NO_GPU) {
        return none();
      }
      throw e;
    }
  }

  private static Baseline none() {
    return new Baseline(Optional.empty(), List.of());
  }

  Optional<Model> model() {
    return model;
  }

  List<String> notes() {
    return notes;
  }

  @Override
  public void close() {
    model.ifPresent(Model::close);
  }
}
