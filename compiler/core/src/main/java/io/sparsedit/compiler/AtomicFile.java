package io.sparsedit.compiler;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.UUID;

/** Writes files that appear under their name only when they are complete. */
public final class AtomicFile {
  /** What Linux says of a disk that is full. */
  private static final String FULL = "No space left on device";

  private AtomicFile() {}

  /** What goes into a file. */
  public interface Content {
    /** Writes it. */
    void writeTo(OutputStream out) throws IOException;
  }

  /**
   * Writes a file and replaces one that is there. It is written under a temporary name in the same
   * folder first, which is gone afterwards whatever happens.
   */
  public static void write(Path file, Content content) {
    Path temporary = temporaryFor(file);
    try {
      try (FileChannel channel =
              FileChannel.open(temporary, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW);
          OutputStream out = new BufferedOutputStream(Channels.newOutputStream(channel), 1 << 16)) {
        content.writeTo(out);
        out.flush();
        channel.force(true);
      }
      moveIntoPlace(temporary, file);
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE, file + ": cannot be written: " + reason(e), e);
    } finally {
      deleteQuietly(temporary);
    }
  }

  /**
   * Makes sure, before long work whose result it gets, that a file can be written.
   *
   * @throws SparsifyException if it could not be now
   */
  public static void requireWritable(Path file) {
    Path temporary = temporaryFor(file);
    try {
      requireNoFolder(file);
      Files.createFile(temporary);
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE, file + ": cannot be written: " + reason(e), e);
    } finally {
      deleteQuietly(temporary);
    }
  }

  /** An unused name next to the file. */
  public static Path temporaryFor(Path file) {
    return file.resolveSibling("." + file.getFileName() + "." + UUID.randomUUID() + ".tmp");
  }

  /** Gives a complete temporary file its name. */
  public static void moveIntoPlace(Path temporary, Path file) throws IOException {
    requireNoFolder(file);
    Files.move(
        temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  private static void requireNoFolder(Path file) throws FileSystemException {
    if (Files.isDirectory(file)) {
      throw new FileSystemException(file.toString(), null, "there is a folder of this name");
    }
  }

  /** Deletes a file if it is there; a failure to do so is not worth a second error. */
  public static void deleteQuietly(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      // The caller has an error that says more, or is done.
    }
  }

  /** The system's own words, without the path that exceptions of the file system start with. */
  public static String reason(IOException e) {
    if (e instanceof NoSuchFileException) {
      return "no such file or folder";
    }
    if (e instanceof AccessDeniedException) {
      return "permission denied";
    }
    String said =
        e instanceof FileSystemException f && f.getReason() != null
            ? f.getReason()
            : e.getMessage();
    if (said == null) {
      return e.getClass().getSimpleName();
    }
    return said.equals(FULL) ? said + "; free some, or write to another place" : said;
  }
}
