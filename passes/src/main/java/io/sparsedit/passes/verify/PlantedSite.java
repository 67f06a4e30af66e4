package io.sparsedit.passes.verify;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.HalfFloat;
import io.sparsedit.compiler.ir.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;

/**
 * Seeded q, k, v with structure that sparse attention can use: tokens belong to groups, shuffled
 * over the sequence, and attend mostly to their own group.
 */
final class PlantedSite {
  private static final long SEED = 20_250_519;
  private static final int GROUPS = 32;
  private static final double NOISE = 0.2;

  /** How much a token's logit within its group exceeds that of other groups, about. */
  private static final double MARGIN = 8;

  final Tensor query;
  final Tensor key;
  final Tensor value;

  /** Structure for a site of the given sizes. */
  PlantedSite(DataType type, int batch, int heads, int tokens, int headDim, double scale) {
    Random random = new Random(SEED);
    int blocks = batch * heads;
    double amplitude = Math.sqrt(MARGIN / (scale * headDim));
    double[] centres = new double[blocks * GROUPS * headDim];
    for (int i = 0; i < centres.length; i++) {
      centres[i] = amplitude * random.nextGaussian();
    }
    int[] queryGroup = new int[blocks * tokens];
    int[] keyGroup = new int[blocks * tokens];
    for (int i = 0; i < queryGroup.length; i++) {
      queryGroup[i] = random.nextInt(GROUPS);
      keyGroup[i] = random.nextInt(GROUPS);
    }
    long[] dims = {batch, heads, tokens, headDim};
    query = noisy(type, dims, centres, queryGroup, amplitude, random);
    key = noisy(type, dims, centres, keyGroup, amplitude, random);
    value = TestInputs.random(type, dims, random, "v");
  }

  private static Tensor noisy(
      DataType type, long[] dims, double[] centres, int[] group, double amplitude, Random random) {
    int tokens = (int) dims[2];
    int headDim = (int) dims[3];
    int elements = group.length * headDim;
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(Math.toIntExact(type.bytes(elements)))
            .order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < group.length; i++) {
      int centre = ((i / tokens) * GROUPS + group[i]) * headDim;
      for (int d = 0; d < headDim; d++) {
        float x = (float) (centres[centre + d] + NOISE * amplitude * random.nextGaussian());
        if (type == DataType.FLOAT16) {
          bytes.putShort(HalfFloat.fromFloat(x));
        } else {
          bytes.putFloat(x);
        }
      }
    }
    return Tensor.raw(type, dims, bytes.flip());
  }
}
