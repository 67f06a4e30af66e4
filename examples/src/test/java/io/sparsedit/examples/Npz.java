package io.sparsedit.examples;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** A NumPy archive of f32, f64 and i32 arrays: a case of {@code testdata/golden}. */
final class Npz {
  /** The elements as numbers, and the shape. */
  static final class Array {
    final double[] elements;
    final int[] dims;

    private Array(double[] elements, int[] dims) {
      this.elements = elements;
      this.dims = dims;
    }
  }

  private final Map<String, Array> arrays = new LinkedHashMap<>();

  Npz(Path file) {
    try (InputStream in = Files.newInputStream(file);
        ZipInputStream zip = new ZipInputStream(in)) {
      for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
        arrays.put(entry.getName().replaceFirst("\\.npy$", ""), array(zip.readAllBytes()));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  Array get(String name) {
    return Optional.ofNullable(arrays.get(name)).orElseThrow(() -> new AssertionError(name));
  }

  double setting(String name) {
    return get("setting." + name).elements[0];
  }

  /** Version 1: magic, length of the header, header, elements. */
  private static Array array(byte[] bytes) {
    int header = Byte.toUnsignedInt(bytes[8]) | Byte.toUnsignedInt(bytes[9]) << 8;
    String text = new String(bytes, 10, header, StandardCharsets.US_ASCII);
    String shape = text.replaceFirst("(?s).*'shape': \\(([^)]*)\\).*", "$1");
    int[] dims =
        Arrays.stream(shape.split(","))
            .map(String::strip)
            .filter(dim -> !dim.isEmpty())
            .mapToInt(Integer::parseInt)
            .toArray();
    ByteBuffer data =
        ByteBuffer.wrap(bytes, 10 + header, bytes.length - 10 - header)
            .slice()
            .order(ByteOrder.LITTLE_ENDIAN);
    double[] elements = new double[Arrays.stream(dims).reduce(1, (a, b) -> a * b)];
    boolean isInt = text.contains("<i4");
    boolean isDouble = text.contains("<f8");
    for (int i = 0; i < elements.length; i++) {
      elements[i] =
          isDouble ? data.getDouble(8 * i) : isInt ? data.getInt(4 * i) : data.getFloat(4 * i);
    }
    return new Array(elements, dims);
  }
}
