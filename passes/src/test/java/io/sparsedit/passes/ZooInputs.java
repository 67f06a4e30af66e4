package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.HalfFloat;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.TensorFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;

/** Seeded inputs for the graphs of the zoo: two elements a batch where it is dynamic. */
final class ZooInputs {
  /** Sizes of the symbolic dimensions, by the names that the exporters gave them. */
  private static final Map<String, Long> SIZES = new LinkedHashMap<>();

  static {
    for (String batch : List.of("B", "s2", "s47")) {
      SIZES.put(batch, 2L);
    }
    for (String frames : List.of("F", "s33")) {
      SIZES.put(frames, 4L);
    }
    for (String height : List.of("H", "s20")) {
      SIZES.put(height, 16L);
    }
    for (String width : List.of("W", "s66")) {
      SIZES.put(width, 12L);
    }
    for (String text : List.of("T", "s31", "s96")) {
      SIZES.put(text, 24L);
    }
    SIZES.put("S", 192L);
    for (String tokens : List.of("s87", "s29")) {
      SIZES.put(tokens, 120L);
    }
  }

  private ZooInputs() {}

  /** Extent of the video where the graph does not tell. */
  static Optional<VideoGeometry> video(String graph) {
    if (graph.startsWith("flux")) {
      return Optional.of(VideoGeometry.parse("1x12x10"));
    }
    return graph.startsWith("ltx") ? Optional.of(VideoGeometry.parse("4x8x6")) : Optional.empty();
  }

  /** Writes the inputs of a model to a folder as {@code --inputs} takes them. */
  static Path write(Path model, Path folder) {
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    of(OnnxReader.read(model), 1)
        .forEach((name, tensor) -> TensorFiles.write(tensor, folder.resolve(name + ".pb")));
    return folder;
  }

  /** The inputs of a model by name. */
  static Map<String, Tensor> of(Model model, long seed) {
    return of(model, seed, SIZES);
  }

  /** The inputs of a model by name, with other sizes for its symbols. */
  static Map<String, Tensor> of(Model model, long seed, Map<String, Long> sizes) {
    Random random = new Random(seed);
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (Value input : model.graph().inputs()) {
      if (input.constant().isEmpty()) {
        ValueType.TensorType type = (ValueType.TensorType) input.type().orElseThrow();
        long[] dims =
            type.dims().orElseThrow().stream().mapToLong(dim -> size(dim, sizes)).toArray();
        inputs.put(input.name(), tensor(type.elementType(), dims, random));
      }
    }
    return inputs;
  }

  /** The size of a dimension. */
  static long size(DeclaredDim dim, Map<String, Long> sizes) {
    if (dim instanceof DeclaredDim.Fixed fixed) {
      return fixed.size();
    }
    String name = ((DeclaredDim.Named) dim).name();
    return Optional.ofNullable(sizes.get(name)).orElseThrow(() -> new AssertionError(name));
  }

  /** Numbers: timesteps are 500, masks [B,T] hide the last 7 tokens, 2 less a later element. */
  private static Tensor tensor(DataType type, long[] dims, Random random) {
    int count = (int) Tensor.elementCount(dims);
    ByteBuffer bytes =
        ByteBuffer.allocateDirect((int) type.bytes(count)).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < count; i++) {
      float normal = (float) random.nextGaussian();
      switch (type) {
        case FLOAT -> bytes.putFloat(dims.length == 1 ? 0.5f : normal);
        case FLOAT16 -> bytes.putShort(HalfFloat.fromFloat(normal));
        case INT64 -> bytes.putLong(dims.length == 1 ? 500 : isValid(i, (int) dims[1]) ? 1 : 0);
        default -> throw new AssertionError(type);
      }
    }
    return Tensor.raw(type, dims, bytes.flip());
  }

  private static boolean isValid(int index, int tokens) {
    return index % tokens < tokens - 7 + 2 * (index / tokens);
  }
}
