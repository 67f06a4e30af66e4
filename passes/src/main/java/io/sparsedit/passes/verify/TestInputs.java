package io.sparsedit.passes.verify;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.HalfFloat;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.onnx.TensorFiles;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Inputs that a verification runs on: the user's, or seeded random ones. */
final class TestInputs {
  private static final long SEED = 20_250_518;

  /** What a symbolic dimension becomes if nothing says how large it is. */
  private static final long DEFAULT_SIZE = 8;

  private TestInputs() {}

  /**
   * The tensors in a folder of {@code .pb} files (ONNX TensorProto), by input name; files without a
   * known name count in order, as {@code input_0.pb}, {@code input_1.pb}….
   */
  static Map<String, Tensor> read(Path folder, Model model) {
    List<Value> inputs = inputs(model);
    Set<String> names = inputs.stream().map(Value::name).collect(Collectors.toSet());
    Map<String, Tensor> found = new LinkedHashMap<>();
    for (Path file : tensorFiles(folder)) {
      Tensor tensor = TensorFiles.read(file);
      String stem = String.valueOf(file.getFileName()).replaceFirst("\\.pb$", "");
      if (names.contains(tensor.name())) {
        found.put(tensor.name(), tensor);
      } else if (names.contains(stem)) {
        found.put(stem, tensor);
      } else if (stem.matches("input_\\d{1,4}")) {
        int index = Integer.parseInt(stem.substring("input_".length()));
        if (index < inputs.size()) {
          found.put(inputs.get(index).name(), tensor);
        }
      }
    }
    for (Value input : inputs) {
      if (!found.containsKey(input.name())) {
        throw SparsifyException.failure(
            "no tensor for input '"
                + input.name()
                + "' in "
                + folder
                + ": put it there as "
                + input.name()
                + ".pb or input_"
                + inputs.indexOf(input)
                + ".pb (ONNX TensorProto)");
      }
    }
    return found;
  }

  private static List<Path> tensorFiles(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      return files.filter(file -> file.toString().endsWith(".pb")).sorted().toList();
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          "cannot read the inputs in " + folder + ": it must be a folder of .pb files",
          e);
    }
  }

  /**
   * Seeded inputs: standard normal numbers, ones for integers (valid as steps, lengths and indices;
   * zeros where they are places in a table of one row), true for booleans. Symbolic dimensions
   * become 1 on the first axis, 8 elsewhere.
   *
   * @throws SparsifyException if an input has no rank, or is too large to be made up
   */
  static Map<String, Tensor> random(Model model, ValueFacts facts) {
    Random random = new Random(SEED);
    Map<String, Long> sizes = new TreeMap<>();
    Map<String, Tensor> made = new LinkedHashMap<>();
    for (Value input : inputs(model)) {
      Optional<List<Dim>> shape = facts.shape(input);
      DataType type = facts.elementType(input);
      if (shape.isEmpty()) {
        throw SparsifyException.failure(
            "input '" + input.name() + "' has no declared rank: give inputs with --inputs DIR");
      }
      long[] dims = new long[shape.get().size()];
      for (int axis = 0; axis < dims.length; axis++) {
        Dim dim = shape.get().get(axis);
        long size = axis == 0 ? 1 : DEFAULT_SIZE;
        dims[axis] =
            dim.constant().orElseGet(() -> sizes.computeIfAbsent(dim.toString(), name -> size));
      }
      long integer = TableLengths.of(input, facts).orElse(2) > 1 ? 1 : 0;
      made.put(input.name(), random(type, dims, random, input.name(), integer));
    }
    return made;
  }

  private static List<Value> inputs(Model model) {
    return model.graph().inputs().stream().filter(v -> v.constant().isEmpty()).toList();
  }

  private static int elements(DataType type, long[] dims, String name) {
    double elements = 1;
    for (long dim : dims) {
      elements *= dim;
    }
    if (elements * type.bits() / 8 > Integer.MAX_VALUE) {
      throw SparsifyException.failure(
          "input '"
              + name
              + "', "
              + type.shortName()
              + Arrays.toString(dims)
              + ", is too large to be made up: check each site alone with --verify sites");
    }
    return (int) elements;
  }

  /** A seeded tensor of the given type and shape; in an integer one all elements are the same. */
  static Tensor random(DataType type, long[] dims, Random random, String name, long integer) {
    int elements = elements(type, dims, name);
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(Math.toIntExact(type.bytes(elements)))
            .order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < elements; i++) {
      float normal = (float) random.nextGaussian();
      switch (type) {
        case FLOAT -> bytes.putFloat(normal);
        case DOUBLE -> bytes.putDouble(normal);
        case FLOAT16 -> bytes.putShort(HalfFloat.fromFloat(normal));
        case BFLOAT16 -> bytes.putShort((short) (Float.floatToRawIntBits(normal) >>> 16));
        case INT64 -> bytes.putLong(integer);
        case INT32 -> bytes.putInt((int) integer);
        case UINT8, INT8 -> bytes.put((byte) integer);
        case BOOL -> bytes.put((byte) 1);
        default ->
            throw SparsifyException.failure(
                "no random input of type "
                    + type.shortName()
                    + " for '"
                    + name
                    + "': give inputs with --inputs DIR");
      }
    }
    return Tensor.raw(type, dims, bytes.flip());
  }
}
