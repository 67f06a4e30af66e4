package io.sparsedit.compiler.onnx;

import io.sparsedit.compiler.AtomicFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/** The bytes of a file, and what kind of file it is when it is not ONNX. */
final class FileBytes {
  private FileBytes() {}

  /** The file's bytes, mapped. */
  static ByteBuffer map(Path file, Source source) {
    if (!Files.exists(file)) {
      throw source.failure("there is no such file");
    }
    if (Files.isDirectory(file)) {
      throw source.failure("is a folder; give the .onnx file in it");
    }
    if (!Files.isRegularFile(file)) {
      throw source.failure("is not a regular file");
    }
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long size = channel.size();
      if (size > Integer.MAX_VALUE) {
        throw source.failure(
            "is larger than 2 GB, the most that an ONNX file can hold; export the model with"
                + " external data");
      }
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, size);
    } catch (IOException e) {
      throw source.failure("cannot be read: " + AtomicFile.reason(e));
    }
  }

  /** What kind of file this is, if that shows from its first bytes and it is not ONNX. */
  static Optional<String> otherKind(ByteBuffer bytes) {
    if (!bytes.hasRemaining()) {
      return Optional.of("is empty, not an ONNX model");
    }
    byte[] head = new byte[Math.min(bytes.remaining(), 512)];
    bytes.duplicate().get(head);
    String start = new String(head, StandardCharsets.ISO_8859_1);
    if (start.startsWith("version https://git-lfs")) {
      return Optional.of("is a Git LFS pointer, not the model itself; run: git lfs pull");
    }
    if (start.startsWith("PK")) {
      return Optional.of(
          "is a zip archive or a PyTorch checkpoint, not ONNX; export the model to ONNX first");
    }
    if (start.chars().allMatch(c -> (c >= ' ' && c < 127) || c == '\n' || c == '\r' || c == '\t')) {
      return Optional.of("is a text file, not an ONNX model");
    }
    return Optional.empty();
  }
}
