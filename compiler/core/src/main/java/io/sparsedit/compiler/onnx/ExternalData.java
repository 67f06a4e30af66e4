package io.sparsedit.compiler.onnx;

import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.ModelTensors;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Tensor.Storage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;

/**
 * The weights that a model keeps in other files.
 *
 * <p>Nothing is read unless {@link #load} asks for one tensor; even then the file is mapped, not
 * copied. A location must be relative and stay in the model's folder, also when symbolic links are
 * followed; a folder of links into a store, where the model file is a link too, may link to files
 * next to the linked model.
 */
public final class ExternalData {
  private final Path model;

  /** The external data of the model in the given file. */
  public ExternalData(Path model) {
    this.model = model;
  }

  /** The external data of a model that was read from a file. */
  public static ExternalData of(Model model) {
    return new ExternalData(
        model
            .source()
            .orElseThrow(() -> new IllegalStateException("the model was not read from a file")));
  }

  /** The model's file, for messages. */
  Source source() {
    return Source.of(model.toString());
  }

  /**
   * The tensor with its elements mapped from the external file; the tensor itself if its elements
   * are in the model.
   */
  public Tensor load(Tensor tensor) {
    if (!(tensor.storage() instanceof Storage.External external)) {
      return tensor;
    }
    Source source = Source.of(model.toString()).at("tensor '" + tensor.name() + "'");
    Path file = locate(external.location(), source);
    long bytes = tensor.type().bytes(tensor.elementCount());
    requireSize(file, external, bytes, size(file, source), source);
    if (bytes > Integer.MAX_VALUE) {
      throw source.failure("is too large to be read as one: " + bytes + " bytes");
    }
    ByteBuffer mapped;
    if (bytes == 0) {
      mapped = ByteBuffer.allocate(0);
    } else {
      try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
        mapped = channel.map(FileChannel.MapMode.READ_ONLY, external.offset(), bytes);
      } catch (IOException e) {
        throw unreadable(file, source, e);
      }
    }
    return Tensor.raw(tensor.type(), tensor.dims(), mapped).named(tensor.name());
  }

  /** The file at a location, which must exist in the model's folder. */
  Path locate(String location, Source source) {
    requireInside(location, source);
    Path folder = folder(model);
    Path file = folder.resolve(location);
    if (!Files.exists(file)) {
      throw source.failure(
          "its external data file "
              + file
              + " is missing; copy it there, next to the model, under exactly this name");
    }
    try {
      Path real = file.toRealPath();
      if (!Files.isRegularFile(real)) {
        throw source.failure("its external data " + file + " is not a file");
      }
      if (!Files.isReadable(real)) {
        throw source.failure(
            "its external data file " + file + " cannot be read: permission denied");
      }
      boolean inside =
          real.startsWith(folder.toRealPath()) || real.startsWith(folder(model.toRealPath()));
      if (!inside) {
        throw source.failure(
            "its external data file "
                + file
                + " is a symbolic link out of the model's folder, to "
                + real
                + "; put the file itself, or a hard link, into the folder");
      }
    } catch (IOException e) {
      throw unreadable(file, source, e);
    }
    return file;
  }

  /** Fails unless the location is a relative path that does not go up. */
  static void requireInside(String location, Source source) {
    if (location.isEmpty()) {
      throw source.failure("its data is external, but no location is given");
    }
    boolean absolute =
        location.startsWith("/") || location.startsWith("\\") || location.matches("[A-Za-z]:.*");
    boolean up = false;
    for (String part : location.split("[/\\\\]")) {
      up |= part.equals("..");
    }
    if (absolute || up) {
      throw source.failure(
          "its external data is at '%s'; only files in the model's folder are read: put the file there and export again with a relative path without '..'"
              .formatted(location));
    }
    try {
      Path unused = Path.of(location);
    } catch (InvalidPathException e) {
      throw source.failure("its external data location is not a file name");
    }
  }

  /** Checks that all external files of the model exist in its folder and are long enough. */
  public void check(Model checked) {
    Map<String, Path> files = new HashMap<>();
    Map<Path, Long> sizes = new HashMap<>();
    Map<String, Integer> tensors = new HashMap<>();
    for (Tensor tensor : ModelTensors.of(checked)) {
      if (tensor.storage() instanceof Storage.External external) {
        tensors.merge(external.location(), 1, Integer::sum);
      }
    }
    for (Tensor tensor : ModelTensors.of(checked)) {
      if (tensor.storage() instanceof Storage.External external) {
        String place = "tensor '" + tensor.name() + "'";
        Source source = Source.of(model.toString()).at(place);
        int others = tensors.getOrDefault(external.location(), 1) - 1;
        Source all =
            Source.of(model.toString())
                .at(others == 0 ? place : place + " and " + others + " more in the same file");
        Path file = files.computeIfAbsent(external.location(), location -> locate(location, all));
        long size = sizes.computeIfAbsent(file, f -> size(f, source));
        requireSize(file, external, tensor.type().bytes(tensor.elementCount()), size, source);
      }
    }
  }

  private static void requireSize(
      Path file, Storage.External external, long bytes, long size, Source source) {
    if (external.offset() + bytes > size) {
      throw source.failure(
          "its external data file %s is too short: bytes %d to %d are needed, the file has %d; was it copied completely?"
              .formatted(file, external.offset(), external.offset() + bytes, size));
    }
  }

  private static long size(Path file, Source source) {
    try {
      return Files.size(file);
    } catch (IOException e) {
      throw unreadable(file, source, e);
    }
  }

  static Path folder(Path model) {
    Path parent = model.toAbsolutePath().getParent();
    return parent == null ? Path.of("/") : parent;
  }

  private static SparsifyException unreadable(Path file, Source source, IOException e) {
    return source.failure(
        "its external data file " + file + " cannot be read: " + AtomicFile.reason(e));
  }
}
