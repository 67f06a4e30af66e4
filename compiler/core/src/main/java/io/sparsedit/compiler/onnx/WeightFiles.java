package io.sparsedit.compiler.onnx;

import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.LargeFiles;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.ModelTensors;
import io.sparsedit.compiler.ir.Tensor.Storage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/** The files with external data that a model uses, and their way into another folder. */
public final class WeightFiles {
  private final ExternalData data;
  private final List<String> locations;

  private WeightFiles(ExternalData data, List<String> locations) {
    this.data = data;
    this.locations = locations;
  }

  /** How weights get into a folder. */
  public enum Mode {
    /**
     * By a hard link, which takes no space and outlives the original name; by a copy where the file
     * system cannot link.
     */
    LINK,
    /** By a copy, which later changes to the original do not reach. */
    COPY
  }

  /**
   * A file that was placed.
   *
   * @param location path relative to the folder, as the model has it
   * @param bytes size of the file
   * @param linked whether it is a link and takes no space
   */
  public record Placed(String location, long bytes, boolean linked) {}

  /** The files that the model uses, which was read from a file. */
  public static WeightFiles of(Model model) {
    List<String> locations =
        ModelTensors.of(model).stream()
            .flatMap(
                tensor ->
                    tensor.storage() instanceof Storage.External external
                        ? Stream.of(external.location())
                        : Stream.empty())
            .distinct()
            .toList();
    return locations.isEmpty()
        ? new WeightFiles(new ExternalData(Path.of("")), locations)
        : new WeightFiles(ExternalData.of(model), locations);
  }

  /**
   * Checks that the files can be placed beside others.
   *
   * @param names of the others, relative to the folder
   * @throws SparsifyException if one of the files has such a name
   */
  public void requireOtherNames(Set<String> names) {
    for (String location : locations) {
      String name = Path.of(location).normalize().toString();
      if (names.contains(name)) {
        throw data.source()
            .failure(
                "its external data is in '"
                    + location
                    + "', the name of a file of every bundle; save the model again with its"
                    + " weights under another name");
      }
    }
  }

  /** Their paths relative to the model's folder, in order of first use. */
  public List<String> locations() {
    return locations;
  }

  /**
   * Links or copies all files to the same relative paths in the folder. A file there is replaced,
   * in one step, unless it already is the file itself. After a failure nothing that was placed is
   * left.
   */
  public List<Placed> placeIn(Path folder, Mode mode) {
    List<Path> created = new ArrayList<>();
    try {
      List<Placed> placed = new ArrayList<>();
      for (String location : locations) {
        placed.add(place(location, folder, mode, created));
      }
      return placed;
    } catch (RuntimeException e) {
      // Files come after the folders they are in.
      created.stream().sorted(Comparator.reverseOrder()).forEach(AtomicFile::deleteQuietly);
      throw e;
    }
  }

  /**
   * The first file in a folder that stands where one of these would be placed, and is another one.
   */
  public Optional<Path> obstacleIn(Path folder) {
    for (String location : locations) {
      Path source = data.locate(location, Source.of("weights"));
      Path target = folder.toAbsolutePath().resolve(location);
      try {
        if (Files.exists(target) && Files.mismatch(source, target) >= 0) {
          return Optional.of(target);
        }
      } catch (IOException e) {
        // A folder, or a file that cannot be read: not these weights.
        return Optional.of(target);
      }
    }
    return Optional.empty();
  }

  private Placed place(String location, Path folder, Mode mode, List<Path> created) {
    Path source = data.locate(location, Source.of("weights"));
    Path target = folder.toAbsolutePath().resolve(location);
    Path temporary = AtomicFile.temporaryFor(target);
    try {
      createFolders(ExternalData.folder(target), created);
      long bytes = Files.size(source);
      if (Files.exists(target) && Files.isSameFile(source, target)) {
        return new Placed(location, bytes, true);
      }
      boolean linked = mode == Mode.LINK && LargeFiles.linkOrCopy(source, temporary);
      if (mode == Mode.COPY) {
        LargeFiles.copy(source, temporary);
      }
      AtomicFile.moveIntoPlace(temporary, target);
      created.add(target);
      return new Placed(location, bytes, linked);
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          target + ": the weights cannot be written: " + AtomicFile.reason(e),
          e);
    } finally {
      AtomicFile.deleteQuietly(temporary);
    }
  }

  private static void createFolders(Path folder, List<Path> created) throws IOException {
    if (!Files.isDirectory(folder)) {
      Path parent = folder.toAbsolutePath().getParent();
      if (parent != null) {
        createFolders(parent, created);
      }
      Files.createDirectory(folder);
      created.add(folder);
    }
  }
}
