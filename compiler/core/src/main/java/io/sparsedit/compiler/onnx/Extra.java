package io.sparsedit.compiler.onnx;

import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.MessageLite;
import com.google.protobuf.Parser;
import io.sparsedit.compiler.ir.Extras;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Conversions between messages and what is kept of them. */
final class Extra {
  private Extra() {}

  /** Keeps the message. */
  static Extras of(MessageLite message) {
    return message.getSerializedSize() == 0 ? Extras.NONE : new Extras(message.toByteArray());
  }

  /** The kept message. */
  static <M> M parse(Extras extras, Parser<M> parser) {
    try {
      return parser.parseFrom(extras.encoded());
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("extras do not hold the message they are used for", e);
    }
  }

  // ---- metadata_props and external_data -------------------------------------------------------

  static Map<String, String> map(List<StringStringEntryProto> entries) {
    Map<String, String> map = new LinkedHashMap<>();
    for (StringStringEntryProto entry : entries) {
      map.put(entry.getKey(), entry.getValue());
    }
    return map;
  }

  static List<StringStringEntryProto> entries(Map<String, String> map) {
    List<StringStringEntryProto> entries = new ArrayList<>();
    map.forEach(
        (key, value) ->
            entries.add(StringStringEntryProto.newBuilder().setKey(key).setValue(value).build()));
    return entries;
  }

  /** The kept spelling if it says the same as the map, else a new one. */
  static List<StringStringEntryProto> entries(
      Map<String, String> map, List<StringStringEntryProto> kept) {
    return !kept.isEmpty() && map(kept).equals(map) ? List.copyOf(kept) : entries(map);
  }

  /** Whether the map alone brings the entries back. */
  static boolean isPlain(List<StringStringEntryProto> entries) {
    return entries(map(entries)).equals(entries);
  }

  // ---- opset_import ---------------------------------------------------------------------------

  static Map<String, Long> opsetMap(List<OperatorSetIdProto> imports) {
    Map<String, Long> map = new LinkedHashMap<>();
    for (OperatorSetIdProto id : imports) {
      map.put(domain(id.getDomain()), id.getVersion());
    }
    return map;
  }

  static List<OperatorSetIdProto> opsets(Map<String, Long> map) {
    List<OperatorSetIdProto> imports = new ArrayList<>();
    map.forEach(
        (domain, version) ->
            imports.add(
                OperatorSetIdProto.newBuilder().setDomain(domain).setVersion(version).build()));
    return imports;
  }

  static List<OperatorSetIdProto> opsets(Map<String, Long> map, List<OperatorSetIdProto> kept) {
    return !kept.isEmpty() && opsetMap(kept).equals(map) ? List.copyOf(kept) : opsets(map);
  }

  static boolean isPlainOpsets(List<OperatorSetIdProto> imports) {
    return opsets(opsetMap(imports)).equals(imports);
  }

  /** The domain as the representation spells it: the default domain is empty. */
  static String domain(String domain) {
    return domain.equals("ai.onnx") ? "" : domain;
  }
}
