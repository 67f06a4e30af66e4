package io.sparsedit.compiler.bundle;

import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** SHA-256 sums of files, as bundles note them. */
public final class Sha256 {
  private Sha256() {}

  /** The sum of a file, in hexadecimal. */
  public static String of(Path file) {
    try (InputStream in = Files.newInputStream(file)) {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      byte[] buffer = new byte[1 << 16];
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        digest.update(buffer, 0, n);
      }
      return HexFormat.of().formatHex(digest.digest());
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE, file + " cannot be read: " + AtomicFile.reason(e), e);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-256", e);
    }
  }
}
