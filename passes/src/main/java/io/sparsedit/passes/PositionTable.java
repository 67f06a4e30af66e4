package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.shape.Dim;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;

/**
 * Reads the extent of the video off a table with an entry for each token: coordinates, cosines and
 * sines of a rotary embedding, a sum of sines and cosines.
 *
 * <p>Along the tokens of F x H x W, what depends on the column alone repeats after W tokens; what
 * depends on the row alone is the same for W tokens and repeats after H * W; what depends on the
 * frame alone is the same for H * W tokens. A table all of whose channels do one of these gives F,
 * H and W. A learned table says nothing, nor does one whose channels mix rows and columns.
 */
final class PositionTable {
  /** Elements that are looked at; of a larger table, channels spread over it. */
  private static final long MAX_ELEMENTS = 1 << 22;

  private static final int MIN_CHANNELS = 48;

  /**
   * How a channel runs along the tokens.
   *
   * @param run tokens in a row that are the same, at least
   * @param period tokens after which it repeats; all of them if it does not
   */
  private record Rhythm(int run, int period) {
    /** It depends on the column alone. */
    boolean isOfColumns(int width) {
      return width % period == 0;
    }

    /** It depends on the row alone. */
    boolean isOfRows(int width, int area) {
      return run % width == 0 && area % period == 0;
    }

    /** It depends on the frame alone. */
    boolean isOfFrames(int area) {
      return run % area == 0;
    }
  }

  private PositionTable() {}

  /** The extent that a table with exactly one axis of so many tokens tells, if it tells any. */
  static Optional<VideoGeometry> extent(Tensor table, int tokens) {
    int axis = -1;
    for (int i = 0; i < table.rank(); i++) {
      if (table.dims()[i] == tokens) {
        if (axis >= 0) {
          return Optional.empty();
        }
        axis = i;
      }
    }
    if (axis < 0 || table.bytes().isEmpty() || !isReadable(table.type())) {
      return Optional.empty();
    }
    long inner = Tensor.elementCount(Arrays.copyOfRange(table.dims(), axis + 1, table.rank()));
    long outer = table.elementCount() / inner / tokens;
    long channels = inner * outer;
    long step = Math.max(1, channels / Math.max(MIN_CHANNELS, MAX_ELEMENTS / tokens));
    Set<Rhythm> rhythms = new LinkedHashSet<>();
    double[] channel = new double[tokens];
    ByteBuffer bytes = table.bytes().orElseThrow();
    for (long c = 0; c < channels; c += step) {
      long start = c / inner * inner * tokens + c % inner;
      for (int i = 0; i < tokens; i++) {
        channel[i] = element(bytes, table.type(), start + i * inner);
      }
      Rhythm rhythm = rhythm(channel);
      if (rhythm.run() == 1 && rhythm.period() == tokens) {
        return Optional.empty(); // of all three, or learned
      }
      // What is the same for all tokens says nothing.
      if (rhythm.run() < tokens) {
        rhythms.add(rhythm);
      }
    }
    return fit(tokens, rhythms);
  }

  private static Optional<VideoGeometry> fit(int tokens, Set<Rhythm> rhythms) {
    for (Rhythm columns : rhythms) {
      int width = columns.period();
      if (columns.run() != 1 || width == tokens) {
        continue;
      }
      for (Rhythm rows : rhythms) {
        int area = rows.period();
        boolean isFrame = rows.run() == width && area % width == 0 && tokens % area == 0;
        // Without frames, runs within a row may well be the rows of a smaller grid.
        boolean framesDiffer =
            area == tokens
                ? rhythms.stream().noneMatch(r -> r.run() > 1 && r.run() < width)
                : rhythms.stream().anyMatch(r -> r.run() == area);
        if (isFrame && framesDiffer && explains(rhythms, width, area)) {
          return Optional.of(
              new VideoGeometry(Dim.of(tokens / area), Dim.of(area / width), Dim.of(width)));
        }
      }
    }
    return Optional.empty();
  }

  private static boolean explains(Set<Rhythm> rhythms, int width, int area) {
    return rhythms.stream()
        .allMatch(r -> r.isOfColumns(width) || r.isOfRows(width, area) || r.isOfFrames(area));
  }

  private static Rhythm rhythm(double[] channel) {
    int n = channel.length;
    int run = n;
    int length = 1;
    for (int i = 1; i <= n; i++) {
      if (i < n && channel[i] == channel[i - 1]) {
        length++;
      } else {
        run = gcd(run, length);
        length = 1;
      }
    }
    int period = n;
    for (int p = run; p < n; p += run) {
      if (n % p == 0 && repeats(channel, p)) {
        period = p;
        break;
      }
    }
    return new Rhythm(run, period);
  }

  private static boolean repeats(double[] channel, int period) {
    for (int i = period; i < channel.length; i++) {
      if (channel[i] != channel[i - period]) {
        return false;
      }
    }
    return true;
  }

  private static int gcd(int a, int b) {
    return b == 0 ? a : gcd(b, a % b);
  }

  private static double element(ByteBuffer bytes, DataType type, long index) {
    int at = Math.toIntExact(type.bytes(index));
    return switch (type) {
      case FLOAT -> bytes.getFloat(at);
      case DOUBLE -> bytes.getDouble(at);
      case FLOAT16, BFLOAT16, INT16 -> bytes.getShort(at);
      case INT32 -> bytes.getInt(at);
      default -> bytes.getLong(at);
    };
  }

  /** Elements are only compared, so that the bits of half precision do. */
  private static boolean isReadable(DataType type) {
    return switch (type) {
      case FLOAT, DOUBLE, FLOAT16, BFLOAT16, INT32, INT64 -> true;
      default -> false;
    };
  }
}
