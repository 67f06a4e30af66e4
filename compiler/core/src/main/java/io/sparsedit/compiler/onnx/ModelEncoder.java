package io.sparsedit.compiler.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.AttributeProto.AttributeType;
import ai.onnx.proto.OnnxMl.FunctionProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import com.google.protobuf.ByteString;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Extras;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Turns the graph representation into the messages of a model. */
final class ModelEncoder {
  /** No protobuf message may be larger; some room is left for what is not tensors. */
  private static final long MAX_INLINE_BYTES = Integer.MAX_VALUE - (64L << 20);

  private long inlineBytes;

  private ModelEncoder() {}

  /** The model with additional graph outputs, which are inner values of the main graph. */
  static ModelProto encode(Model model, Collection<Value> extraOutputs) {
    return new ModelEncoder().model(model, extraOutputs);
  }

  private ModelProto model(Model model, Collection<Value> extraOutputs) {
    ModelProto.Builder proto =
        model.extras().isEmpty()
            ? ModelProto.newBuilder()
            : Extra.parse(model.extras(), ModelProto.parser()).toBuilder();
    if (model.irVersion() != 0) {
      proto.setIrVersion(model.irVersion());
    }
    if (!model.producerName().isEmpty()) {
      proto.setProducerName(model.producerName());
    }
    if (!model.producerVersion().isEmpty()) {
      proto.setProducerVersion(model.producerVersion());
    }
    if (!model.docString().isEmpty()) {
      proto.setDocString(model.docString());
    }
    var opsets = Extra.opsets(model.opsets(), proto.getOpsetImportList());
    proto.clearOpsetImport().addAllOpsetImport(opsets);
    var metadata = Extra.entries(model.metadata(), proto.getMetadataPropsList());
    proto.clearMetadataProps().addAllMetadataProps(metadata);
    GraphProto graph = graph(model.graph());
    if (!extraOutputs.isEmpty()) {
      GraphProto.Builder more = graph.toBuilder();
      extraOutputs.forEach(value -> more.addOutput(Types.encode(value)));
      graph = more.build();
    }
    proto.setGraph(graph);
    for (Function function : model.functions()) {
      proto.addFunctions(function(function));
    }
    return proto.build();
  }

  private FunctionProto function(Function function) {
    FunctionProto.Builder proto =
        function.extras().isEmpty()
            ? FunctionProto.newBuilder()
            : Extra.parse(function.extras(), FunctionProto.parser()).toBuilder();
    if (!function.name().isEmpty()) {
      proto.setName(function.name());
    }
    if (!function.domain().isEmpty()) {
      proto.setDomain(function.domain());
    }
    if (!function.overload().isEmpty()) {
      proto.setOverload(function.overload());
    }
    if (!function.docString().isEmpty()) {
      proto.setDocString(function.docString());
    }
    var opsets = Extra.opsets(function.opsets(), proto.getOpsetImportList());
    proto.clearOpsetImport().addAllOpsetImport(opsets);
    var metadata = Extra.entries(function.metadata(), proto.getMetadataPropsList());
    proto.clearMetadataProps().addAllMetadataProps(metadata);
    proto.addAllAttribute(function.attributeNames());
    List<AttributeProto> defaults = attributes(function.attributeDefaults());
    Source source = Source.of("function " + function.name());
    if (!attributes(ModelDecoder.defaults(proto.getAttributeProtoList(), source))
        .equals(defaults)) {
      proto.clearAttributeProto().addAllAttributeProto(defaults);
    }
    if (!function.body().initializers().isEmpty()) {
      throw new IllegalStateException(
          "function " + function.name() + " has initializers; use Constant nodes");
    }
    GraphProto body = graph(function.body());
    body.getInputList().forEach(input -> proto.addInput(input.getName()));
    body.getOutputList().forEach(output -> proto.addOutput(output.getName()));
    proto.addAllNode(body.getNodeList()).addAllValueInfo(body.getValueInfoList());
    return proto.build();
  }

  // ---- graphs ---------------------------------------------------------------------------------

  private GraphProto graph(Graph graph) {
    GraphProto kept =
        graph.extras().isEmpty()
            ? GraphProto.getDefaultInstance()
            : Extra.parse(graph.extras(), GraphProto.parser());
    GraphProto.Builder proto = kept.toBuilder().clearOutput().clearValueInfo();
    if (!graph.name().isEmpty()) {
      proto.setName(graph.name());
    }
    if (!graph.docString().isEmpty()) {
      proto.setDocString(graph.docString());
    }
    var metadata = Extra.entries(graph.metadata(), proto.getMetadataPropsList());
    proto.clearMetadataProps().addAllMetadataProps(metadata);
    graph.inputs().forEach(input -> proto.addInput(Types.encode(input)));
    for (Value initializer : graph.initializers()) {
      initializer
          .constant()
          .ifPresent(tensor -> proto.addInitializer(tensor(tensor.named(initializer.name()))));
    }
    graph.nodes().forEach(node -> proto.addNode(node(node)));

    Map<String, ValueInfoProto> keptOutputs = byName(kept.getOutputList());
    for (int i = 0; i < graph.outputs().size(); i++) {
      Value output = graph.outputs().get(i);
      ValueInfoProto other = keptOutputs.get(output.name());
      proto.addOutput(
          other == null || declaresOutput(graph, i, output) ? Types.encode(output) : other);
    }
    encodeValueInfo(graph, kept, proto);
    return proto.build();
  }

  /** Whether the output's type stands here, and not with an input or an enclosing graph. */
  static boolean declaresOutput(Graph graph, int index, Value output) {
    return output.graph() == graph
        && !graph.inputs().contains(output)
        && !graph.outputs().subList(0, index).contains(output);
  }

  private static void encodeValueInfo(Graph graph, GraphProto kept, GraphProto.Builder proto) {
    // A sparse initializer says itself what it is.
    Set<Value> done = new HashSet<>(graph.declaredValues());
    Set<Value> atBorder = new HashSet<>(graph.inputs());
    atBorder.addAll(graph.outputs());
    for (ValueInfoProto info : kept.getValueInfoList()) {
      boolean nameOnly = info.equals(ValueInfoProto.newBuilder().setName(info.getName()).build());
      Value value = graph.value(info.getName()).orElse(null);
      if (value == null || (atBorder.contains(value) && !nameOnly)) {
        if (!nameOnly) {
          proto.addValueInfo(info);
        }
      } else if (Types.isDeclared(value)) {
        boolean sparse = graph.declaredValues().contains(value);
        if (done.add(value) || atBorder.contains(value) || sparse) {
          proto.addValueInfo(Types.encode(value));
        }
      }
    }
    for (Value value : graph.values()) {
      if (Types.isDeclared(value) && !atBorder.contains(value) && done.add(value)) {
        proto.addValueInfo(Types.encode(value));
      }
    }
  }

  private static Map<String, ValueInfoProto> byName(List<ValueInfoProto> infos) {
    Map<String, ValueInfoProto> map = new HashMap<>();
    infos.forEach(info -> map.putIfAbsent(info.getName(), info));
    return map;
  }

  private TensorProto tensor(Tensor tensor) {
    inlineBytes += tensor.bytes().map(bytes -> (long) bytes.remaining()).orElse(0L);
    if (inlineBytes > MAX_INLINE_BYTES) {
      throw SparsifyException.failure(
          "the model's inline tensors exceed 2 GB, the most that an ONNX file can hold; export it"
              + " with external data");
    }
    return Tensors.encode(tensor);
  }

  // ---- nodes ----------------------------------------------------------------------------------

  private NodeProto node(Node node) {
    NodeProto.Builder proto =
        node.extras().isEmpty()
            ? NodeProto.newBuilder()
            : Extra.parse(node.extras(), NodeProto.parser()).toBuilder();
    proto.setOpType(node.opType());
    node.inputs().forEach(input -> proto.addInput(input.map(Value::name).orElse("")));
    node.outputs().forEach(output -> proto.addOutput(output.name()));
    if (!node.name().isEmpty()) {
      proto.setName(node.name());
    }
    if (!node.domain().isEmpty()) {
      proto.setDomain(node.domain());
    }
    if (!node.overload().isEmpty()) {
      proto.setOverload(node.overload());
    }
    if (!node.docString().isEmpty()) {
      proto.setDocString(node.docString());
    }
    node.attributes()
        .forEach(
            (name, value) ->
                proto.addAttribute(attribute(name, value, node.attributeExtras(name))));
    var metadata = Extra.entries(node.metadata(), proto.getMetadataPropsList());
    proto.clearMetadataProps().addAllMetadataProps(metadata);
    return proto.build();
  }

  private AttributeProto attribute(String name, Attribute value, Extras extras) {
    if (!isStructured(value)) {
      return extras.isEmpty()
          ? attribute(name, value)
          : Extra.parse(extras, AttributeProto.parser());
    }
    AttributeProto.Builder proto =
        extras.isEmpty()
            ? AttributeProto.newBuilder().setName(name)
            : Extra.parse(extras, AttributeProto.parser()).toBuilder();
    if (value instanceof Attribute.TensorValue tensor) {
      proto.setType(AttributeType.TENSOR).setT(tensor(tensor.value()));
    } else if (value instanceof Attribute.GraphValue graph) {
      proto.setType(AttributeType.GRAPH).setG(graph(graph.value()));
    } else if (value instanceof Attribute.GraphList list) {
      proto.setType(AttributeType.GRAPHS);
      list.values().forEach(graph -> proto.addGraphs(graph(graph)));
    }
    return proto.build();
  }

  /** Whether the value holds graphs or tensors; extras then hold the rest, else all of it. */
  static boolean isStructured(Attribute value) {
    return value instanceof Attribute.TensorValue
        || value instanceof Attribute.GraphValue
        || value instanceof Attribute.GraphList;
  }

  /** The messages of a function's default attributes. */
  static List<AttributeProto> attributes(Map<String, Attribute> defaults) {
    List<AttributeProto> protos = new ArrayList<>();
    ModelEncoder encoder = new ModelEncoder();
    defaults.forEach((name, value) -> protos.add(encoder.attribute(name, value, Extras.NONE)));
    return protos;
  }

  /** The message of an attribute without graphs and tensors. */
  static AttributeProto attribute(String name, Attribute value) {
    AttributeProto.Builder proto = AttributeProto.newBuilder();
    if (value instanceof Attribute.Opaque opaque) {
      proto.mergeFrom(Extra.parse(opaque.encoded(), AttributeProto.parser()));
    } else if (value instanceof Attribute.IntValue i) {
      proto.setType(AttributeType.INT).setI(i.value());
    } else if (value instanceof Attribute.FloatValue f) {
      proto.setType(AttributeType.FLOAT).setF(f.value());
    } else if (value instanceof Attribute.StringValue s) {
      proto.setType(AttributeType.STRING).setS(ByteString.copyFromUtf8(s.value()));
    } else if (value instanceof Attribute.IntList ints) {
      proto.setType(AttributeType.INTS).addAllInts(ints.values());
    } else if (value instanceof Attribute.FloatList floats) {
      proto.setType(AttributeType.FLOATS).addAllFloats(floats.values());
    } else if (value instanceof Attribute.StringList strings) {
      proto.setType(AttributeType.STRINGS);
      strings.values().forEach(s -> proto.addStrings(ByteString.copyFromUtf8(s)));
    } else if (value instanceof Attribute.Reference reference) {
      proto.setRefAttrName(reference.attribute());
      AttributeType type = AttributeType.forNumber(reference.typeCode());
      proto.setType(type == null ? AttributeType.UNDEFINED : type);
    } else {
      throw new IllegalArgumentException("not a plain attribute: " + value);
    }
    return proto.setName(name).build();
  }
}
