package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.HalfFloat;
import io.sparsedit.compiler.ir.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.function.Function;

/** Tensors for tests. */
final class TestTensors {
  private TestTensors() {}

  static Tensor action(int... codes) {
    return Tensor.ofInts(new long[] {codes.length}, codes);
  }

  static Tensor random(long seed, long... dims) {
    Random random = new Random(seed);
    float[] elements = new float[count(dims)];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = (float) random.nextGaussian();
    }
    return Tensor.ofFloats(dims, elements);
  }

  static Tensor filled(float value, long... dims) {
    float[] elements = new float[count(dims)];
    Arrays.fill(elements, value);
    return Tensor.ofFloats(dims, elements);
  }

  static int[] permutation(Random random, int count) {
    List<Integer> numbers = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      numbers.add(i);
    }
    Collections.shuffle(numbers, random);
    return numbers.stream().mapToInt(Integer::intValue).toArray();
  }

  /** The kept part of the (query, key) pairs of a plan, all heads together. */
  static double density(Function<String, Tensor> plan) {
    int[] rows = ints(plan.apply(SparseOps.QUERY_OFFSETS));
    int[] columns = ints(plan.apply(SparseOps.KEY_OFFSETS));
    Tensor keep = plan.apply(SparseOps.KEEP);
    int[] words = ints(keep);
    int heads = (int) (keep.dims()[0] * keep.dims()[1]);
    int segments = (int) keep.dims()[2];
    int wordsInRow = (int) keep.dims()[3];
    int columnCount = columns.length / heads;
    double kept = 0;
    double total = 0;
    for (int head = 0; head < heads; head++) {
      for (int i = 0; i < segments; i++) {
        int row = head * (segments + 1) + i;
        for (int j = 0; j + 1 < columnCount; j++) {
          int column = head * columnCount + j;
          double pairs =
              (double) (rows[row + 1] - rows[row]) * (columns[column + 1] - columns[column]);
          int word = words[(head * segments + i) * wordsInRow + j / 32];
          kept += (word >> j % 32 & 1) * pairs;
          total += pairs;
        }
      }
    }
    return kept / total;
  }

  static int count(long... dims) {
    return Math.toIntExact(Arrays.stream(dims).reduce(1, Math::multiplyExact));
  }

  static float[] floats(Tensor tensor) {
    double[] doubles = tensor.doubles().orElseThrow();
    float[] floats = new float[doubles.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) doubles[i];
    }
    return floats;
  }

  static int[] ints(Tensor tensor) {
    return Arrays.stream(tensor.longs().orElseThrow()).mapToInt(Math::toIntExact).toArray();
  }

  /** The tensor at an index of the first axis. */
  static Tensor index(Tensor tensor, int index) {
    long[] dims = Arrays.copyOfRange(tensor.dims(), 1, tensor.rank());
    int length = count(dims);
    float[] all = floats(tensor);
    return Tensor.ofFloats(dims, Arrays.copyOfRange(all, index * length, (index + 1) * length));
  }

  /** [B,H,S,D] to [B,S,H,D] or back. */
  static Tensor swapHeadsAndTokens(Tensor tensor) {
    long[] dims = tensor.dims();
    float[] in = floats(tensor);
    float[] out = new float[in.length];
    int middle = (int) dims[1];
    int inner = (int) dims[2];
    int size = (int) dims[3];
    for (int b = 0; b < dims[0]; b++) {
      for (int i = 0; i < middle; i++) {
        for (int j = 0; j < inner; j++) {
          System.arraycopy(
              in,
              ((b * middle + i) * inner + j) * size,
              out,
              ((b * inner + j) * middle + i) * size,
              size);
        }
      }
    }
    return Tensor.ofFloats(new long[] {dims[0], dims[2], dims[1], dims[3]}, out);
  }

  /** Same type, shape and bits. */
  static boolean same(Tensor a, Tensor b) {
    return a.type() == b.type() && Arrays.equals(a.dims(), b.dims()) && a.bytes().equals(b.bytes());
  }

  static Tensor inLayout(Layout layout, Tensor bhsd) {
    return layout == Layout.BHSD ? bhsd : swapHeadsAndTokens(bhsd);
  }

  static Tensor half(Tensor tensor) {
    float[] floats = floats(tensor);
    ByteBuffer bytes = ByteBuffer.allocate(2 * floats.length).order(ByteOrder.LITTLE_ENDIAN);
    for (float f : floats) {
      bytes.putShort(HalfFloat.fromFloat(f));
    }
    return Tensor.raw(DataType.FLOAT16, tensor.dims(), bytes.flip());
  }

  /** Sum of absolute differences over the sum of absolute reference values. */
  static double relativeL1(Tensor actual, Tensor reference) {
    double[] a = actual.doubles().orElseThrow();
    double[] r = reference.doubles().orElseThrow();
    if (!Arrays.equals(actual.dims(), reference.dims())) {
      throw new AssertionError(
          Arrays.toString(actual.dims()) + " is not " + Arrays.toString(reference.dims()));
    }
    double difference = 0;
    double total = 0;
    for (int i = 0; i < a.length; i++) {
      difference += Math.abs(a[i] - r[i]);
      total += Math.abs(r[i]);
    }
    return difference / total;
  }
}
