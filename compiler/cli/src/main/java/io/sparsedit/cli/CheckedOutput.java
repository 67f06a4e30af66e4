package io.sparsedit.cli;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Optional;

/** Remembers that something could not be written, which a {@link java.io.PrintWriter} forgets. */
final class CheckedOutput extends FilterOutputStream {
  /** What Linux says where the reader has gone, such as {@code head}: it has seen what it wants. */
  private static final String READER_GONE = "Broken pipe";

  private Optional<IOException> failure = Optional.empty();

  CheckedOutput(OutputStream out) {
    super(out);
  }

  @Override
  public void write(int b) throws IOException {
    write(new byte[] {(byte) b}, 0, 1);
  }

  @Override
  public void write(byte[] bytes, int start, int length) throws IOException {
    try {
      out.write(bytes, start, length);
    } catch (IOException e) {
      failure = failure.or(() -> Optional.of(e));
      throw e;
    }
  }

  /** The first failure that somebody should hear of. */
  Optional<IOException> failure() {
    return failure.filter(e -> !READER_GONE.equals(e.getMessage()));
  }
}
