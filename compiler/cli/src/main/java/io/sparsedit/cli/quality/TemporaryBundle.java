package io.sparsedit.cli.quality;

import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * The folder of a bundle that is only there to be measured: gone when it is closed, when the
 * process is told to stop, or, after a process that had no time for that, when the next sweep
 * begins.
 */
final class TemporaryBundle implements AutoCloseable {
  private static final String PREFIX = ".bundle-";

  private final Path folder;
  private final Thread cleanUp;

  private TemporaryBundle(Path folder) {
    this.folder = folder;
    this.cleanUp = new Thread(this::deleteQuietly, "remove " + folder);
    Runtime.getRuntime().addShutdownHook(cleanUp);
  }

  /** A name in the folder that no other process uses; nothing is there yet. */
  static TemporaryBundle in(Path parent) {
    return new TemporaryBundle(parent.resolve(PREFIX + ProcessHandle.current().pid()));
  }

  /** Deletes what processes that are no longer there have left behind. */
  static void deleteLeftovers(Path parent) {
    List<Path> leftovers;
    try (Stream<Path> entries = Files.list(parent)) {
      leftovers = entries.filter(TemporaryBundle::isLeftover).toList();
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          "cannot look into " + parent + ": " + AtomicFile.reason(e),
          e);
    }
    leftovers.forEach(TemporaryBundle::delete);
  }

  private static boolean isLeftover(Path entry) {
    String name = String.valueOf(entry.getFileName());
    String pid = name.startsWith(PREFIX) ? name.substring(PREFIX.length()) : "";
    return pid.matches("\\d{1,18}")
        && ProcessHandle.of(Long.parseLong(pid)).filter(ProcessHandle::isAlive).isEmpty();
  }

  Path folder() {
    return folder;
  }

  @Override
  public void close() {
    try {
      Runtime.getRuntime().removeShutdownHook(cleanUp);
    } catch (IllegalStateException e) {
      return; // The process stops: the folder is being deleted.
    }
    delete(folder);
  }

  private void deleteQuietly() {
    try {
      delete(folder);
    } catch (SparsifyException e) {
      // The next sweep deletes it.
    }
  }

  private static void delete(Path folder) {
    if (!Files.exists(folder)) {
      return;
    }
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(path);
      }
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          "cannot remove " + folder + ": " + AtomicFile.reason(e),
          e);
    }
  }
}
