package io.sparsedit.compiler.onnx;

import com.google.protobuf.MessageLite;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Value;
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
import java.util.Collection;
import java.util.List;
import java.util.UUID;

/**
 * Writes ONNX files.
 *
 * <p>A file appears under its name only when it is complete. External data is referred to, not
 * written; see {@link WeightFiles}.
 */
public final class OnnxWriter {
  private OnnxWriter() {}

  /** Writes the model; replaces a file that is there. */
  public static void write(Model model, Path file) {
    write(ModelEncoder.encode(model, List.of()), file);
  }

  /** The model in its file format. */
  public static byte[] toBytes(Model model) {
    return toBytes(model, List.of());
  }

  /**
   * The model in its file format with additional outputs.
   *
   * @param extraOutputs values of the main graph that are not outputs yet
   */
  public static byte[] toBytes(Model model, Collection<Value> extraOutputs) {
    return ModelEncoder.encode(model, extraOutputs).toByteArray();
  }

  static void write(MessageLite message, Path file) {
    Path temporary = file.resolveSibling("." + file.getFileName() + "." + UUID.randomUUID());
    try {
      try (FileChannel channel =
              FileChannel.open(temporary, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW);
          OutputStream out = new BufferedOutputStream(Channels.newOutputStream(channel), 1 << 16)) {
        message.writeTo(out);
        out.flush();
        channel.force(true);
      }
      Files.move(
          temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE, file + ": cannot be written: " + reason(e), e);
    } finally {
      try {
        Files.deleteIfExists(temporary);
      } catch (IOException e) {
        // The file itself is written, or the failure above says more.
      }
    }
  }

  /** The system's own words, without the path that the exception puts before them. */
  static String reason(IOException e) {
    if (e instanceof NoSuchFileException) {
      return "the folder does not exist";
    }
    if (e instanceof AccessDeniedException) {
      return "permission denied";
    }
    if (e instanceof FileSystemException f && f.getReason() != null) {
      return f.getReason();
    }
    return String.valueOf(e.getMessage());
  }
}
