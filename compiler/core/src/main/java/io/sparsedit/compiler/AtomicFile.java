package io.sparsedit.compiler;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
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

  /** Of links to links so many are followed, as Linux does. */
  private static final int MOST_LINKS = 40;

  private AtomicFile() {}

  /** What goes into a file. */
  public interface Content {
    /** Writes it. */
    void writeTo(OutputStream out) throws IOException;
  }

  /**
   * Writes a file and replaces one that is there. It is written under a temporary name in the same
   * folder first, which is gone afterwards whatever happens.
   *
   * <p>Where the name is a symbolic link, the file that it leads to is written and the link stays.
   * What is neither file nor folder, such as {@code /dev/stdout}, is not replaced but written to.
   */
  public static void write(Path file, Content content) {
    try {
      if (isDevice(file)) {
        try (OutputStream out = Files.newOutputStream(file, StandardOpenOption.WRITE)) {
          content.writeTo(out);
        }
      } else {
        replace(followed(file), content);
      }
    } catch (IOException e) {
      throw unwritable(file, e);
    }
  }

  private static void replace(Path file, Content content) throws IOException {
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
    try {
      if (isDevice(file)) {
        if (!Files.isWritable(file)) {
          throw new AccessDeniedException(file.toString());
        }
        return;
      }
      Path place = followed(file);
      requireNoFolder(place);
      Path temporary = temporaryFor(place);
      try {
        Files.createFile(temporary);
      } finally {
        deleteQuietly(temporary);
      }
    } catch (IOException e) {
      throw unwritable(file, e);
    }
  }

  private static SparsifyException unwritable(Path file, IOException e) {
    return new SparsifyException(
        SparsifyException.Kind.FAILURE, file + ": cannot be written: " + reason(e), e);
  }

  /** Whether something that is neither file nor folder is there: a device, a pipe, a socket. */
  public static boolean isDevice(Path file) {
    return Files.exists(file) && !Files.isRegularFile(file) && !Files.isDirectory(file);
  }

  /** What is to be written where a name is a symbolic link, whether or not it is there yet. */
  private static Path followed(Path file) throws IOException {
    Path followed = file;
    for (int links = 0; Files.isSymbolicLink(followed); links++) {
      if (links == MOST_LINKS) {
        throw new FileSystemException(
            file.toString(), null, "its symbolic links lead in a circle; remove it");
      }
      followed = followed.resolveSibling(Files.readSymbolicLink(followed));
    }
    return followed;
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
    if (e instanceof FileAlreadyExistsException existing) {
      return existing.getFile() + " is in the way";
    }
    if (e instanceof CharacterCodingException) {
      return "it is not text in UTF-8";
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
