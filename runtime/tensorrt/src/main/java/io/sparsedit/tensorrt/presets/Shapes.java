package io.sparsedit.tensorrt.presets;

import io.sparsedit.tensorrt.TensorRtException;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.tensorrt.nvinfer.Dims64;

/** Dimensions between Java and TensorRT. */
final class Shapes {
  private Shapes() {}

  /** To be closed. */
  static Dims64 toDims(long... shape) {
    if (shape.length > Dims64.MAX_DIMS) {
      throw TensorRtException.failed("a tensor has more than " + Dims64.MAX_DIMS + " dimensions");
    }
    Dims64 dims = new Dims64();
    dims.nbDims(shape.length);
    for (int i = 0; i < shape.length; i++) {
      dims.d(i, shape[i]);
    }
    return dims;
  }

  static Dims64 toDims(List<Long> shape) {
    return toDims(shape.stream().mapToLong(Long::longValue).toArray());
  }

  /** Closes what it is given. */
  static long[] take(Dims64 dims) {
    try (dims) {
      int count = dims.nbDims();
      if (count < 0 || count > Dims64.MAX_DIMS) {
        throw TensorRtException.failed("a tensor's shape is not known");
      }
      long[] shape = new long[count];
      for (int i = 0; i < count; i++) {
        shape[i] = dims.d(i);
      }
      return shape;
    }
  }

  static List<Long> takeList(Dims64 dims) {
    return Arrays.stream(take(dims)).boxed().toList();
  }
}
