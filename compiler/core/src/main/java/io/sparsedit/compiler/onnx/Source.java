package io.sparsedit.compiler.onnx;

import io.sparsedit.compiler.SparsifyException;

/**
 * Where something comes from, for error messages.
 *
 * @param file the file, as the user wrote it
 * @param place the node or tensor in it; empty for the file as a whole
 */
record Source(String file, String place) {
  static Source of(String file) {
    return new Source(file, "");
  }

  Source at(String newPlace) {
    return new Source(file, newPlace);
  }

  SparsifyException failure(String message) {
    return SparsifyException.failure(
        place.isEmpty() ? file + ": " + message : file + ": " + place + ": " + message);
  }
}
