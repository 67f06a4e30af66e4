package io.sparsedit.cli.bench;

import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.Model;
import java.util.List;
import java.util.Optional;

/** The dense engine of a bundle, that its sparse steps are compared with, if it has one. */
final class Baseline implements AutoCloseable {
  private final Optional<Model> model;
  private final List<String> notes;

  private Baseline(Optional<Model> model, List<String> notes) {
    this.model = model;
    this.notes = notes;
  }

  static Baseline load(Bundle bundle, Model.Options options) {
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
