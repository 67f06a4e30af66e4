package io.sparsedit.compiler.bundle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A bundle being written: a folder beside the target under a temporary name, which takes the
 * target's place when it is complete and disappears when it is not.
 *
 * <p>The target may be absent, empty or an earlier bundle, which is replaced. Anything else there
 * is an error.
 */
public final class BundleFolder implements AutoCloseable {
  /** Version of {@code bundle.json}, docs/bundle.md. */
  private static final int SCHEMA_VERSION = 2;

  /** The file that makes a folder a bundle. */
  public static final String DESCRIPTION = "bundle.json";

  private static final String COMPILER = "SparseDiT";
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path target;
  private final Path partial;
  private final Path old;
  private final Thread cleanUp;
  private boolean committed;
  private boolean stopped;

  private BundleFolder(Path target, Path partial) {
    this.target = target;
    this.partial = partial;
    this.old = partial.resolveSibling(partial.getFileName() + ".old");
    // Also where the process is told to stop in between.
    this.cleanUp = new Thread(this::stop, "remove " + partial);
    Runtime.getRuntime().addShutdownHook(cleanUp);
  }

  /**
   * Begins a bundle.
   *
   * @throws SparsifyException if the target holds anything but an earlier bundle, or the folder
   *     cannot be made
   */
  public static BundleFolder begin(Path target) {
    requireReplaceable(target);
    Path absolute = resolved(target);
    Path parent = absolute.getParent();
    if (parent == null) {
      throw SparsifyException.usage("a bundle cannot replace " + absolute);
    }
    try {
      Files.createDirectories(parent);
      String suffix = Long.toHexString(new SecureRandom().nextLong());
      Path partial = parent.resolve("." + absolute.getFileName() + ".partial-" + suffix);
      Files.createDirectory(partial);
      return new BundleFolder(absolute, partial);
    } catch (IOException e) {
      throw failure("cannot make a folder beside " + target, e);
    }
  }

  /** The folder itself where the target is a link to one. */
  private static Path resolved(Path target) {
    try {
      return Files.exists(target) ? target.toRealPath() : target.toAbsolutePath().normalize();
    } catch (IOException e) {
      throw failure("cannot look at " + target, e);
    }
  }

  /**
   * Checks that a folder is a bundle by its description.
   *
   * @throws SparsifyException if there is none
   */
  public static void requireBundle(Path folder) {
    if (!Files.isRegularFile(folder.resolve(DESCRIPTION))) {
      throw SparsifyException.failure(
          folder
              + " is not a bundle: it has no bundle.json. Make one with sparsify-model compile.");
    }
  }

  /**
   * A file that a bundle's description names.
   *
   * @param folder the bundle
   * @param name as the description has it
   * @throws SparsifyException if the name leads out of the folder
   */
  public static Path member(Path folder, String name) {
    try {
      Path file = Path.of(name);
      if (!name.isEmpty() && !file.isAbsolute() && !file.normalize().startsWith("..")) {
        return folder.resolve(name);
      }
    } catch (InvalidPathException e) {
      // Said below.
    }
    throw SparsifyException.failure(
        folder.resolve(DESCRIPTION)
            + " is damaged: it names the file '"
            + name
            + "', which is not in the bundle. Make the bundle again with sparsify-model compile.");
  }

  /**
   * Checks that a file that is to be written is not in a bundle's folder, also by way of links.
   *
   * @throws SparsifyException if it is
   */
  public static void requireOutside(Path folder, Path file) {
    Path bundle = canonical(folder);
    if (canonical(file).startsWith(bundle)) {
      throw SparsifyException.usage(
          file + ": the bundle's folder is for the bundle alone; name a file elsewhere");
    }
  }

  /** A path without links as far as it exists. */
  private static Path canonical(Path path) {
    Path absolute = path.toAbsolutePath().normalize();
    for (Path there = absolute; there != null; there = there.getParent()) {
      if (Files.exists(there)) {
        try {
          return there.toRealPath().resolve(there.relativize(absolute));
        } catch (IOException e) {
          return absolute;
        }
      }
    }
    return absolute;
  }

  /**
   * Checks that a bundle may be written to the target.
   *
   * @throws SparsifyException naming what is in the way
   */
  public static void requireReplaceable(Path target) {
    requirePlace(target);
    if (!Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    if (!Files.isDirectory(target)) {
      throw SparsifyException.failure(
          target + " is a file. Choose another output folder, or remove it.");
    }
    Path folder = resolved(target);
    try {
      Set<String> own = ownFiles(folder);
      Set<String> expected = new TreeSet<>(own);
      for (String file : own) {
        for (int slash = file.indexOf('/'); slash >= 0; slash = file.indexOf('/', slash + 1)) {
          expected.add(file.substring(0, slash));
        }
      }
      requireOnly(expected, folder, folder, target);
    } catch (IOException e) {
      throw failure("cannot look into " + target, e);
    }
  }

  /** The folder that the target is made in must be one that takes files: known before the work. */
  private static void requirePlace(Path target) {
    Path parent = target.toAbsolutePath().normalize().getParent();
    while (parent != null && !Files.exists(parent)) {
      parent = parent.getParent();
    }
    if (parent == null) {
      throw SparsifyException.usage("a bundle cannot replace " + target);
    }
    if (!Files.isDirectory(parent)) {
      throw SparsifyException.failure(
          target + " cannot be made: " + parent + " is a file. Choose another output folder.");
    }
    if (!Files.isWritable(parent)) {
      throw SparsifyException.failure(
          target
              + " cannot be made: no permission to write to "
              + parent
              + ". Choose another output folder.");
    }
  }

  /** Looks into no folder that is not the bundle's: it may be as large as the whole disk. */
  private static void requireOnly(Set<String> expected, Path folder, Path root, Path target)
      throws IOException {
    List<Path> children;
    try (Stream<Path> all = Files.list(folder)) {
      children = all.sorted().toList();
    } catch (UncheckedIOException e) {
      throw new IOException(e.getCause());
    }
    for (Path child : children) {
      String name = root.relativize(child).toString().replace('\\', '/');
      if (!expected.contains(name)) {
        throw foreign(target, name);
      }
      if (Files.isDirectory(child, LinkOption.NOFOLLOW_LINKS)) {
        requireOnly(expected, child, root, target);
      }
    }
  }

  private static SparsifyException foreign(Path target, String file) {
    return SparsifyException.failure(
        target
            + " holds "
            + file
            + ", which is not part of an earlier bundle. Choose another output folder, or remove"
            + " it.");
  }

  /** Everything below the folder, folders included. */
  private static Set<String> entries(Path folder) throws IOException {
    try (Stream<Path> all = Files.walk(folder)) {
      return all.filter(path -> !path.equals(folder))
          .map(path -> folder.relativize(path).toString().replace('\\', '/'))
          .collect(Collectors.toCollection(TreeSet::new));
    }
  }

  private static Set<String> files(Path folder) throws IOException {
    Set<String> files = entries(folder);
    files.removeIf(entry -> Files.isDirectory(folder.resolve(entry), LinkOption.NOFOLLOW_LINKS));
    return files;
  }

  /** What the bundle in the folder says belongs to it; empty if there is none. */
  private static Set<String> ownFiles(Path folder) throws IOException {
    Path description = folder.resolve(DESCRIPTION);
    Set<String> own = new TreeSet<>();
    if (!Files.isRegularFile(description)) {
      return own;
    }
    JsonNode root;
    try {
      root = JSON.readTree(description.toFile());
    } catch (com.fasterxml.jackson.core.JsonProcessingException e) {
      return own;
    }
    if (root.path("compiler").path("name").asText().equals(COMPILER)) {
      own.add(DESCRIPTION);
      root.path("files").forEach(file -> own.add(file.asText()));
    }
    return own;
  }

  /** Where a file of the bundle is written. */
  public Path resolve(String file) {
    return partial.resolve(file);
  }

  /** The folder that is written to. */
  public Path folder() {
    return partial;
  }

  /** Writes a JSON file, with a newline at its end. */
  public void writeJson(String file, JsonNode content) {
    try {
      Files.writeString(
          resolve(file), JSON.writerWithDefaultPrettyPrinter().writeValueAsString(content) + "\n");
    } catch (IOException e) {
      throw failure("cannot write " + file + " of bundle " + target, e);
    }
  }

  /** Writes a text file in UTF-8. */
  public void writeText(String file, String content) {
    try {
      Files.writeString(resolve(file), content);
    } catch (IOException e) {
      throw failure("cannot write " + file + " of bundle " + target, e);
    }
  }

  /**
   * Completes the bundle: adds the compiler and the list of files to its description and puts it in
   * the target's place.
   *
   * @param version the compiler's version
   * @param description the content of {@code bundle.json}
   * @return the names of the bundle's files
   */
  public List<String> commit(String version, ObjectNode description) {
    try {
      ObjectNode complete = JSON.createObjectNode();
      complete.put("schemaVersion", SCHEMA_VERSION);
      complete.putObject("compiler").put("name", COMPILER).put("version", version);
      complete.setAll(description);
      ArrayNode list = complete.putArray("files");
      Set<String> names = files(partial);
      names.forEach(list::add);
      writeJson(DESCRIPTION, complete);
      replace();
      if (Files.exists(old)) {
        delete(old);
      }
      names.add(DESCRIPTION);
      return List.copyOf(names);
    } catch (IOException e) {
      throw failure("cannot complete bundle " + target, e);
    }
  }

  /** Whoever stops the process waits for this: at no time is neither bundle there for good. */
  private synchronized void replace() throws IOException {
    if (stopped) {
      throw new IOException("the process is being stopped");
    }
    requireReplaceable(target);
    boolean replaces = Files.exists(target);
    if (replaces) {
      Files.move(target, old);
    }
    try {
      Files.move(partial, target);
    } catch (IOException e) {
      if (replaces) {
        Files.move(old, target);
      }
      throw e;
    }
    committed = true;
  }

  private synchronized void stop() {
    stopped = true;
    deleteQuietly(partial);
    if (committed) {
      deleteQuietly(old);
    }
  }

  /** Removes what was written if the bundle was not completed. */
  @Override
  public void close() {
    try {
      Runtime.getRuntime().removeShutdownHook(cleanUp);
    } catch (IllegalStateException e) {
      // The process is stopping: the hook does the work.
      return;
    }
    if (!committed) {
      delete(partial);
    }
  }

  /** Tries for a while: another thread may still be writing into the folder. */
  private static void deleteQuietly(Path folder) {
    for (int attempt = 0; attempt < 20 && Files.exists(folder); attempt++) {
      try {
        delete(folder);
      } catch (SparsifyException e) {
        pause();
      }
    }
  }

  private static void pause() {
    try {
      Thread.sleep(50);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void delete(Path folder) {
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(path);
      }
    } catch (IOException e) {
      throw failure("cannot remove the temporary folder " + folder, e);
    } catch (UncheckedIOException e) {
      throw failure("cannot remove the temporary folder " + folder, new IOException(e));
    }
  }

  private static SparsifyException failure(String what, IOException cause) {
    return new SparsifyException(
        SparsifyException.Kind.FAILURE,
        what
            + ": "
            + AtomicFile.reason(cause)
            + ". Check the free space and the permissions there.",
        cause);
  }
}
