package io.sparsedit.compiler.ort;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Extras;
import io.sparsedit.compiler.ir.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/** Tensors to ONNX Runtime and back. */
final class OrtTensors {
  private OrtTensors() {}

  /** A copy in native memory; the caller closes it. */
  static OnnxTensor toOrt(
      OrtEnvironment environment, String name, Tensor tensor, String description)
      throws OrtException {
    if (tensor.storage() instanceof Tensor.Storage.Strings strings) {
      String[] elements =
          strings.elements().stream()
              .map(bytes -> new String(bytes, StandardCharsets.UTF_8))
              .toArray(String[]::new);
      return OnnxTensor.createTensor(environment, elements, tensor.dims());
    }
    OnnxJavaType type =
        switch (tensor.type()) {
          case FLOAT -> OnnxJavaType.FLOAT;
          case DOUBLE -> OnnxJavaType.DOUBLE;
          case FLOAT16 -> OnnxJavaType.FLOAT16;
          case BFLOAT16 -> OnnxJavaType.BFLOAT16;
          case INT8 -> OnnxJavaType.INT8;
          case INT16 -> OnnxJavaType.INT16;
          case INT32 -> OnnxJavaType.INT32;
          case INT64 -> OnnxJavaType.INT64;
          case UINT8 -> OnnxJavaType.UINT8;
          case BOOL -> OnnxJavaType.BOOL;
          default ->
              throw SparsifyException.failure(
                  "%s: input '%s' is %s, which cannot be passed to ONNX Runtime from Java"
                      .formatted(description, name, tensor.type().shortName()));
        };
    ByteBuffer bytes =
        tensor
            .bytes()
            .orElseThrow(
                () ->
                    new IllegalArgumentException(
                        "input '" + name + "' is in an external file; load it first"));
    // A copy of its own: mapped tensors may be unaligned.
    ByteBuffer direct = ByteBuffer.allocateDirect(bytes.remaining()).order(ByteOrder.nativeOrder());
    direct.put(bytes).flip();
    return OnnxTensor.createTensor(environment, direct, tensor.dims(), type);
  }

  /** A copy in the Java heap. */
  static Tensor fromOrt(String name, OnnxValue value, String description) throws OrtException {
    if (!(value instanceof OnnxTensor tensor)) {
      throw SparsifyException.failure(
          "%s: output '%s' is no tensor but %s".formatted(description, name, value.getType()));
    }
    long[] dims = tensor.getInfo().getShape();
    DataType type =
        switch (tensor.getInfo().onnxType) {
          case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT -> DataType.FLOAT;
          case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE -> DataType.DOUBLE;
          case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 -> DataType.FLOAT16;
          case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16 -> DataType.BFLOAT16;
          case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 -> DataType.INT8;
          case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16 -> DataType.INT16;
          case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 -> DataType.INT32;
          case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 -> DataType.INT64;
          case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 -> DataType.UINT8;
          case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16 -> DataType.UINT16;
          case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32 -> DataType.UINT32;
          case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64 -> DataType.UINT64;
          case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL -> DataType.BOOL;
          case ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING -> DataType.STRING;
          default ->
              throw SparsifyException.failure(
                  "%s: output '%s' is %s, which ONNX Runtime's Java interface cannot return"
                      .formatted(description, name, tensor.getInfo().onnxType));
        };
    if (type == DataType.STRING) {
      return new Tensor(
          name, type, dims, new Tensor.Storage.Strings(strings(tensor.getValue())), Extras.NONE);
    }
    ByteBuffer bytes =
        tensor.getInfo().getNumElements() == 0 ? ByteBuffer.allocate(0) : tensor.getByteBuffer();
    return Tensor.raw(type, dims, bytes).named(name);
  }

  /** The elements of a nested array of strings. */
  private static List<byte[]> strings(Object value) {
    if (value instanceof Object[] array) {
      return Arrays.stream(array).flatMap(element -> strings(element).stream()).toList();
    }
    return List.of(((String) value).getBytes(StandardCharsets.UTF_8));
  }
}
