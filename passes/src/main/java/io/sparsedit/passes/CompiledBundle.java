package io.sparsedit.passes;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.bundle.BundleFolder;
import io.sparsedit.compiler.bundle.Sha256;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.onnx.OnnxReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A bundle that was written before, to be compared with the model it was made from.
 *
 * @param description its {@code bundle.json}
 */
record CompiledBundle(Path folder, JsonNode description) {
  /**
   * Opens a bundle.
   *
   * @throws SparsifyException if the folder is no bundle, or its description is damaged
   */
  static CompiledBundle open(Path folder) {
    Path file = folder.resolve(BundleFolder.DESCRIPTION);
    if (Files.isRegularFile(folder)) {
      throw SparsifyException.failure(
          folder
              + " is a file, not a bundle's folder. The order is: verify BUNDLE MODEL.onnx, the model"
              + " last.");
    }
    if (!Files.isRegularFile(file)) {
      throw SparsifyException.failure(
          folder
              + " is not a bundle: it has no bundle.json. Make one with sparsify-model compile.");
    }
    try {
      return new CompiledBundle(folder, new ObjectMapper().readTree(file.toFile()));
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          file + " is damaged. Make the bundle again with sparsify-model compile.",
          e);
    }
  }

  /**
   * Checks that the bundle was made from this very model.
   *
   * @throws SparsifyException if it was made from another one
   */
  void requireMadeFrom(Path original) {
    JsonNode source = description.path("source");
    if (!Sha256.of(original).equals(source.path("sha256").asText())) {
      throw SparsifyException.failure(
          folder
              + " was made from another model than "
              + original
              + ": their SHA-256 sums differ. Give the model it was made from ("
              + source.path("file").asText()
              + "), or compile again.");
    }
  }

  /**
   * Reads the compiled model.
   *
   * @throws SparsifyException if it is not what the bundle was made with
   */
  Model model() {
    JsonNode entry = description.path("model");
    Path file = BundleFolder.member(folder, entry.path("file").asText(BundleDescription.MODEL));
    Model model = OnnxReader.read(file);
    if (!Sha256.of(file).equals(entry.path("sha256").asText())) {
      throw SparsifyException.failure(
          file
              + " was changed after the bundle was made: its SHA-256 sum is not the one in"
              + " bundle.json. Compile again.");
    }
    return model;
  }
}
