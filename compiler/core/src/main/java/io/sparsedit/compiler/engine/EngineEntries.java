package io.sparsedit.compiler.engine;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.bundle.BundleFolder;
import io.sparsedit.compiler.bundle.Sha256;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * The engines that a bundle says it has: {@code engines} and {@code denseEngines} in {@code
 * bundle.json}.
 *
 * <p>Files are named after their content. A new engine is there in full before the description
 * names it, and the old one of the same GPU goes after that: whoever reads the bundle meanwhile
 * finds one or the other.
 */
final class EngineEntries {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String ENGINES = "engines";
  private static final String DENSE_ENGINES = "denseEngines";
  private static final String FILES = "files";

  private final Path folder;
  private final ObjectNode root;

  private EngineEntries(Path folder, ObjectNode root) {
    this.folder = folder;
    this.root = root;
  }

  /**
   * Reads a bundle's description.
   *
   * @throws SparsifyException if the folder is no bundle, or its model was changed
   */
  static EngineEntries read(Path folder) {
    Path description = folder.resolve(BundleFolder.DESCRIPTION);
    BundleFolder.requireBundle(folder);
    try {
      if (JSON.readTree(description.toFile()) instanceof ObjectNode root
          && root.path("model").path("file").isTextual()) {
        EngineEntries entries = new EngineEntries(folder, root);
        entries.checkModel();
        entries.files().forEach(file -> BundleFolder.member(folder, file));
        return entries;
      }
    } catch (IOException e) {
      throw damaged(description, e);
    }
    throw damaged(description, new IOException("no \"model\""));
  }

  private static SparsifyException damaged(Path description, IOException cause) {
    return new SparsifyException(
        SparsifyException.Kind.FAILURE,
        description + " is damaged. Make the bundle again with sparsify-model compile.",
        cause);
  }

  private void checkModel() {
    if (!Sha256.of(model()).equals(modelSha256())) {
      throw SparsifyException.failure(
          model()
              + " was changed after the bundle was made: its SHA-256 sum is not the one in"
              + " bundle.json. Compile again.");
    }
  }

  /** The whole description. */
  JsonNode description() {
    return root;
  }

  /** The portable model. */
  Path model() {
    return BundleFolder.member(folder, root.path("model").path("file").asText());
  }

  /** Its sum. */
  String modelSha256() {
    return root.path("model").path("sha256").asText();
  }

  /**
   * Adds an engine in place of one for the same GPU and TensorRT.
   *
   * @param entry its entry, with {@code file} and {@code plugins.file}
   * @param dense whether it is an engine of the dense model
   */
  void put(ObjectNode entry, boolean dense) {
    String key = dense ? DENSE_ENGINES : ENGINES;
    Set<String> before = files();
    ArrayNode kept = JSON.createArrayNode();
    for (JsonNode other : root.path(key)) {
      boolean same =
          other.path("computeCapability").equals(entry.path("computeCapability"))
              && other.path("gpu").equals(entry.path("gpu"))
              && other.path("tensorrt").equals(entry.path("tensorrt"));
      // An engine of an earlier model is of no use any more.
      if (!same && other.path("modelSha256").asText().equals(modelSha256())) {
        kept.add(other);
      }
    }
    kept.add(entry);
    replace(key, kept, before);
  }

  /**
   * Adds something to the entry of an engine.
   *
   * @param file the engine
   * @throws SparsifyException if the bundle has no such engine
   */
  void add(String file, String key, JsonNode value) {
    for (JsonNode engine : root.path(ENGINES)) {
      if (engine.path("file").asText().equals(file) && engine instanceof ObjectNode entry) {
        entry.set(key, value);
        write();
        return;
      }
    }
    throw SparsifyException.failure(folder + " has no engine " + file + " any more.");
  }

  /** Removes an engine and its files, as far as no other engine needs them. */
  void remove(String file) {
    Set<String> before = files();
    ArrayNode kept = JSON.createArrayNode();
    for (JsonNode engine : root.path(ENGINES)) {
      if (!engine.path("file").asText().equals(file)) {
        kept.add(engine);
      }
    }
    replace(ENGINES, kept, before);
  }

  /** Sets the engines, and removes the files that were theirs before and are nobody's now. */
  private void replace(String key, ArrayNode kept, Set<String> before) {
    root.set(key, kept);
    Set<String> after = files();
    Set<String> all = new TreeSet<>();
    root.path(FILES).forEach(file -> all.add(file.asText()));
    before.removeAll(after);
    all.removeAll(before);
    all.addAll(after);
    ArrayNode list = root.putArray(FILES);
    all.forEach(list::add);
    write();
    before.forEach(file -> AtomicFile.deleteQuietly(BundleFolder.member(folder, file)));
  }

  /** The files of all engines. */
  private Set<String> files() {
    Set<String> files = new TreeSet<>();
    for (String key : List.of(ENGINES, DENSE_ENGINES)) {
      for (JsonNode engine : root.path(key)) {
        files.add(engine.path("file").asText());
        files.add(engine.path("plugins").path("file").asText());
      }
    }
    return files;
  }

  private void write() {
    try {
      byte[] text =
          (JSON.writerWithDefaultPrettyPrinter().writeValueAsString(root) + "\n")
              .getBytes(StandardCharsets.UTF_8);
      AtomicFile.write(folder.resolve(BundleFolder.DESCRIPTION), out -> out.write(text));
    } catch (IOException e) {
      throw new IllegalStateException("JSON in memory cannot be written", e);
    }
  }
}
