package io.sparsedit.passes.verify;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.HalfFloat;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.passes.functions.TextPosition;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;

/**
 * Seeded q, k, v with structure that sparse attention can use: tokens belong to groups, and attend
 * mostly to their own group. Groups are shuffled over the sequence, which methods that cluster can
 * use, or lie in a video as attention does: in some heads neighbours in a frame, in others the same
 * place in all frames.
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

  /** Which group a token of a head belongs to. */
  private interface Grouping {
    int of(Random random, int head, int token);
  }

  /** Shuffled groups, for a site of the given sizes. */
  PlantedSite(DataType type, int batch, int heads, int tokens, int headDim, double scale) {
    this(
        type,
        new long[] {batch, heads, tokens, headDim},
        scale,
        (random, head, token) -> random.nextInt(GROUPS));
  }

  /**
   * Groups in a video; text tokens belong to any.
   *
   * @param text where text stands
   */
  PlantedSite(
      DataType type, int heads, ReducedVideo video, TextPosition text, int headDim, double scale) {
    this(
        type,
        new long[] {1, heads, video.tokens(), headDim},
        scale,
        (random, head, token) -> {
          int place = text == TextPosition.FIRST ? token - video.text() : token;
          if (place < 0 || place >= video.video()) {
            return random.nextInt(GROUPS);
          }
          int frame = video.height() * video.width();
          return head % 2 == 0 ? place * GROUPS / video.video() : place % frame * GROUPS / frame;
        });
  }

  private PlantedSite(DataType type, long[] dims, double scale, Grouping grouping) {
    Random random = new Random(SEED);
    int blocks = (int) (dims[0] * dims[1]);
    int tokens = (int) dims[2];
    int headDim = (int) dims[3];
    double amplitude = Math.sqrt(MARGIN / (scale * headDim));
    double[] centres = new double[blocks * GROUPS * headDim];
    for (int i = 0; i < centres.length; i++) {
      centres[i] = amplitude * random.nextGaussian();
    }
    int[] queryGroup = new int[blocks * tokens];
    int[] keyGroup = new int[blocks * tokens];
    for (int i = 0; i < queryGroup.length; i++) {
      queryGroup[i] = grouping.of(random, i / tokens, i % tokens);
      keyGroup[i] = grouping.of(random, i / tokens, i % tokens);
    }
    query = noisy(type, dims, centres, queryGroup, amplitude, random);
    key = noisy(type, dims, centres, keyGroup, amplitude, random);
    value = TestInputs.random(type, dims, random, "v", 1);
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
