package io.sparsedit.compiler.onnx;

import ai.onnx.proto.OnnxMl.SparseTensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto.Dimension;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Extras;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.ir.ValueType.OpaqueType;
import io.sparsedit.compiler.ir.ValueType.TensorType;
import java.util.List;
import java.util.Optional;

/** {@code ValueInfoProto} and {@code TypeProto}. */
final class Types {
  private Types() {}

  /** Gives the value the declared type and what else its declaration holds. */
  static void decodeInto(ValueInfoProto info, Value value) {
    ValueInfoProto.Builder rest = info.toBuilder().clearName();
    if (info.hasType()) {
      ValueType type = decode(info.getType());
      value.setType(type);
      if (encode(type).equals(info.getType())) {
        rest.clearType();
      }
    }
    value.setExtras(Extra.of(rest.build()));
  }

  /** The declaration of the value. */
  static ValueInfoProto encode(Value value) {
    ValueInfoProto.Builder info =
        value.extras().isEmpty()
            ? ValueInfoProto.newBuilder()
            : Extra.parse(value.extras(), ValueInfoProto.parser()).toBuilder();
    info.setName(value.name());
    Optional<ValueType> type = value.type();
    if (type.isEmpty()) {
      info.clearType();
    } else if (!info.hasType() || !same(decode(info.getType()), type.get())) {
      info.setType(encode(type.get()));
    }
    return info.build();
  }

  /** What the tensor is that a sparse one stands for. */
  static ValueType of(SparseTensorProto sparse) {
    long[] dims = sparse.getDimsList().stream().mapToLong(Long::longValue).toArray();
    return ValueType.TensorType.of(DataType.ofCode(sparse.getValues().getDataType()), dims);
  }

  /** Whether the value has a declaration beyond its name. */
  static boolean isDeclared(Value value) {
    return value.type().isPresent() || !value.extras().isEmpty();
  }

  private static boolean same(ValueType a, ValueType b) {
    return a.equals(b) || encode(a).equals(encode(b));
  }

  private static ValueType decode(TypeProto type) {
    if (!type.hasTensorType()) {
      return new OpaqueType(new Extras(type.toByteArray()));
    }
    TypeProto.Tensor tensor = type.getTensorType();
    Optional<List<DeclaredDim>> dims =
        tensor.hasShape()
            ? Optional.of(tensor.getShape().getDimList().stream().map(Types::decode).toList())
            : Optional.empty();
    return new TensorType(DataType.ofCode(tensor.getElemType()), dims);
  }

  private static DeclaredDim decode(Dimension dim) {
    return switch (dim.getValueCase()) {
      // A negative size is how some exporters say that they do not know.
      case DIM_VALUE ->
          dim.getDimValue() < 0
              ? new DeclaredDim.Unknown()
              : new DeclaredDim.Fixed(dim.getDimValue());
      case DIM_PARAM ->
          dim.getDimParam().isEmpty()
              ? new DeclaredDim.Unknown()
              : new DeclaredDim.Named(dim.getDimParam());
      case VALUE_NOT_SET -> new DeclaredDim.Unknown();
    };
  }

  private static TypeProto encode(ValueType type) {
    if (type instanceof OpaqueType opaque) {
      return Extra.parse(opaque.encoded(), TypeProto.parser());
    }
    TensorType tensorType = (TensorType) type;
    TypeProto.Tensor.Builder tensor =
        TypeProto.Tensor.newBuilder().setElemType(tensorType.elementType().code());
    tensorType
        .dims()
        .ifPresent(
            dims -> {
              TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
              for (DeclaredDim dim : dims) {
                Dimension.Builder d = shape.addDimBuilder();
                if (dim instanceof DeclaredDim.Fixed fixed) {
                  d.setDimValue(fixed.size());
                } else if (dim instanceof DeclaredDim.Named named) {
                  d.setDimParam(named.name());
                }
              }
              tensor.setShape(shape);
            });
    return TypeProto.newBuilder().setTensorType(tensor).build();
  }
}
