package io.sparsedit.compiler;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Weights and engines on their way to a second place: of gigabytes there is one copy if possible.
 */
public final class LargeFiles {
  private LargeFiles() {}

  /**
   * Gives a file a second name by a hard link, which outlives the first; where the file system
   * cannot link, copies it.
   *
   * @param from the file, or a symbolic link to it
   * @param to where nothing may be yet
   * @return whether it was linked and takes no space
   * @throws IOException if something is there, or it can be neither linked nor copied
   */
  public static boolean linkOrCopy(Path from, Path to) throws IOException {
    try {
      Files.createLink(to, from.toRealPath());
      return true;
    } catch (FileAlreadyExistsException e) {
      throw e;
    } catch (IOException | UnsupportedOperationException e) {
      // Another file system, or one without hard links.
      copy(from, to);
      return false;
    }
  }

  /**
   * Copies a file through to the disk.
   *
   * @param to where nothing may be yet
   */
  public static void copy(Path from, Path to) throws IOException {
    try (FileChannel in = FileChannel.open(from, StandardOpenOption.READ);
        FileChannel out =
            FileChannel.open(to, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
      long size = in.size();
      for (long at = 0; at < size; ) {
        long moved = in.transferTo(at, size - at, out);
        if (moved <= 0) {
          throw new IOException("the file became shorter while it was copied");
        }
        at += moved;
      }
      out.force(true);
    }
  }
}
