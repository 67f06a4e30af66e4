package io.sparsedit.compiler.onnx;

import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorProtoOrBuilder;
import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Tensor.Storage;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** {@code TensorProto}. */
final class Tensors {
  private Tensors() {}

  // ---- reading --------------------------------------------------------------------------------

  /** The tensor; raw data is shared with the message, not copied. */
  static Tensor decode(TensorProto proto, Source source) {
    long[] dims = proto.getDimsList().stream().mapToLong(Long::longValue).toArray();
    DataType type = DataType.ofCode(proto.getDataType());
    if (proto.hasSegment()) {
      throw source.failure("the tensor is stored in segments, which no known exporter writes");
    }
    long bytes = byteCount(type, dims, source);
    TensorProto.Builder rest = proto.toBuilder().clearDims();
    if (!proto.getName().isEmpty()) {
      rest.clearName();
    }
    if (type != DataType.UNDEFINED) {
      rest.clearDataType();
    }
    boolean typed = false;
    Storage storage;
    if (proto.getDataLocation() == TensorProto.DataLocation.EXTERNAL) {
      Storage.External external = decodeExternal(proto, type, bytes, source);
      storage = external;
      rest.clearDataLocation();
      if (entries(external).equals(proto.getExternalDataList())) {
        rest.clearExternalData();
      }
    } else if (type == DataType.STRING) {
      long count = Tensor.elementCount(dims);
      if (proto.getStringDataCount() != count) {
        throw source.failure(
            "shape %s needs %d strings, the tensor holds %d"
                .formatted(Arrays.toString(dims), count, proto.getStringDataCount()));
      }
      storage =
          new Storage.Strings(
              proto.getStringDataList().stream().map(ByteString::toByteArray).toList());
      rest.clearStringData();
    } else if (type == DataType.UNDEFINED || isRaw(proto)) {
      ByteBuffer data = proto.getRawData().asReadOnlyByteBuffer();
      if (type != DataType.UNDEFINED && data.remaining() != bytes) {
        throw source.failure(
            "%s%s needs %d bytes of raw data, the tensor holds %d"
                .formatted(type.shortName(), Arrays.toString(dims), bytes, data.remaining()));
      }
      storage = new Storage.Raw(data);
      typed = !proto.hasRawData();
      rest.clearRawData();
    } else {
      ByteBuffer data = decodeTyped(proto, type, bytes, dims, source);
      storage = new Storage.Raw(data);
      typed = true;
      TensorProto.Builder again = TensorProto.newBuilder();
      encodeTyped(type, data, again);
      // Numbers that do not fit the element type stay as they are spelled.
      if (again.getFloatDataList().equals(proto.getFloatDataList())
          && again.getInt32DataList().equals(proto.getInt32DataList())
          && again.getInt64DataList().equals(proto.getInt64DataList())
          && again.getDoubleDataList().equals(proto.getDoubleDataList())
          && again.getUint64DataList().equals(proto.getUint64DataList())) {
        rest.clearFloatData().clearInt32Data().clearInt64Data();
        rest.clearDoubleData().clearUint64Data();
      }
    }
    return new Tensor(proto.getName(), type, dims, storage, Extra.of(rest.build()), typed);
  }

  /** Size in raw data; fails where the shape is not one. */
  private static long byteCount(DataType type, long[] dims, Source source) {
    for (long dim : dims) {
      if (dim < 0) {
        throw source.failure("negative dimension in shape " + Arrays.toString(dims));
      }
    }
    try {
      return type.bytes(Tensor.elementCount(dims));
    } catch (ArithmeticException e) {
      throw source.failure("shape " + Arrays.toString(dims) + " is too large for any memory");
    }
  }

  private static boolean isRaw(TensorProto proto) {
    return !proto.getRawData().isEmpty() || (proto.hasRawData() && typedCount(proto) == 0);
  }

  private static int typedCount(TensorProtoOrBuilder proto) {
    return proto.getFloatDataCount()
        + proto.getInt32DataCount()
        + proto.getInt64DataCount()
        + proto.getDoubleDataCount()
        + proto.getUint64DataCount();
  }

  private static ByteBuffer decodeTyped(
      TensorProto proto, DataType type, long bytes, long[] dims, Source source) {
    int unit = typedUnit(type);
    int count =
        switch (type) {
          case FLOAT, COMPLEX64 -> proto.getFloatDataCount();
          case DOUBLE, COMPLEX128 -> proto.getDoubleDataCount();
          case INT64 -> proto.getInt64DataCount();
          case UINT32, UINT64 -> proto.getUint64DataCount();
          default -> proto.getInt32DataCount();
        };
    if ((long) count * unit != bytes) {
      throw source.failure(
          "%s%s needs %d numbers, the tensor holds %d"
              .formatted(type.shortName(), Arrays.toString(dims), bytes / unit, count));
    }
    ByteBuffer out = ByteBuffer.allocate((int) bytes).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < count; i++) {
      switch (type) {
        case FLOAT, COMPLEX64 -> out.putFloat(proto.getFloatData(i));
        case DOUBLE, COMPLEX128 -> out.putDouble(proto.getDoubleData(i));
        case INT64 -> out.putLong(proto.getInt64Data(i));
        case UINT64 -> out.putLong(proto.getUint64Data(i));
        case UINT32 -> out.putInt((int) proto.getUint64Data(i));
        default -> {
          int number = proto.getInt32Data(i);
          switch (unit) {
            case 4 -> out.putInt(number);
            case 2 -> out.putShort((short) number);
            default -> out.put((byte) number);
          }
        }
      }
    }
    return out.flip();
  }

  /** Bytes of packed elements that one number of the typed field stands for. */
  private static int typedUnit(DataType type) {
    return switch (type) {
      case COMPLEX64 -> 4;
      case COMPLEX128 -> 8;
      default -> Math.max(1, type.bits() / 8);
    };
  }

  private static Storage.External decodeExternal(
      TensorProto proto, DataType type, long bytes, Source source) {
    if (type.bits() == 0) {
      throw source.failure("a tensor of this element type cannot be in an external file");
    }
    Storage.External external = external(Extra.map(proto.getExternalDataList()), source);
    ExternalData.requireInside(external.location(), source);
    if (external.length().isPresent() && external.length().get() != bytes) {
      throw source.failure(
          "%s%s needs %d bytes, the model says that its external data in '%s' has %d"
              .formatted(
                  type.shortName(),
                  proto.getDimsList(),
                  bytes,
                  external.location(),
                  external.length().get()));
    }
    if (external.offset() > Long.MAX_VALUE - bytes) {
      throw source.failure(
          "offset " + external.offset() + " of its external data is beyond any file");
    }
    return external;
  }

  private static Storage.External external(Map<String, String> keys, Source source) {
    return new Storage.External(
        keys.getOrDefault("location", ""),
        number(keys, "offset", source).orElse(0L),
        number(keys, "length", source),
        Optional.ofNullable(keys.get("checksum")));
  }

  private static Optional<Long> number(Map<String, String> keys, String key, Source source) {
    String text = keys.get(key);
    if (text == null) {
      return Optional.empty();
    }
    try {
      long number = Long.parseLong(text.strip());
      if (number >= 0) {
        return Optional.of(number);
      }
    } catch (NumberFormatException e) {
      // Reported below.
    }
    throw source.failure("the external data's " + key + " is '" + text + "', not a byte count");
  }

  // ---- writing --------------------------------------------------------------------------------

  /** The message; packed elements are shared with the tensor, not copied. */
  static TensorProto encode(Tensor tensor) {
    TensorProto.Builder proto =
        tensor.extras().isEmpty()
            ? TensorProto.newBuilder()
            : Extra.parse(tensor.extras(), TensorProto.parser()).toBuilder();
    for (long dim : tensor.dims()) {
      proto.addDims(dim);
    }
    if (tensor.type() != DataType.UNDEFINED) {
      proto.setDataType(tensor.type().code());
    }
    if (!tensor.name().isEmpty()) {
      proto.setName(tensor.name());
    }
    Storage storage = tensor.storage();
    if (storage instanceof Storage.External external) {
      proto.setDataLocation(TensorProto.DataLocation.EXTERNAL);
      Source source = Source.of("tensor " + tensor.name());
      if (proto.getExternalDataCount() == 0
          || !external(Extra.map(proto.getExternalDataList()), source).equals(external)) {
        proto.clearExternalData().addAllExternalData(entries(external));
      }
    } else if (storage instanceof Storage.Strings strings) {
      strings.elements().forEach(s -> proto.addStringData(ByteString.copyFrom(s)));
    } else if (storage instanceof Storage.Raw raw) {
      if (!tensor.inTypedField()) {
        proto.setRawData(UnsafeByteOperations.unsafeWrap(raw.bytes()));
      } else if (typedCount(proto) == 0) {
        encodeTyped(tensor.type(), raw.bytes(), proto);
      }
    }
    return proto.build();
  }

  private static void encodeTyped(DataType type, ByteBuffer data, TensorProto.Builder proto) {
    ByteBuffer in = data.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    while (in.hasRemaining()) {
      switch (type) {
        case FLOAT, COMPLEX64 -> proto.addFloatData(in.getFloat());
        case DOUBLE, COMPLEX128 -> proto.addDoubleData(in.getDouble());
        case INT64 -> proto.addInt64Data(in.getLong());
        case UINT64 -> proto.addUint64Data(in.getLong());
        case UINT32 -> proto.addUint64Data(Integer.toUnsignedLong(in.getInt()));
        case INT32 -> proto.addInt32Data(in.getInt());
        case INT16 -> proto.addInt32Data(in.getShort());
        case UINT16, FLOAT16, BFLOAT16 -> proto.addInt32Data(Short.toUnsignedInt(in.getShort()));
        case INT8 -> proto.addInt32Data(in.get());
        default -> proto.addInt32Data(Byte.toUnsignedInt(in.get()));
      }
    }
  }

  private static List<StringStringEntryProto> entries(Storage.External external) {
    Map<String, String> keys = new LinkedHashMap<>();
    keys.put("location", external.location());
    keys.put("offset", Long.toString(external.offset()));
    external.length().ifPresent(length -> keys.put("length", Long.toString(length)));
    external.checksum().ifPresent(checksum -> keys.put("checksum", checksum));
    return Extra.entries(keys);
  }
}
