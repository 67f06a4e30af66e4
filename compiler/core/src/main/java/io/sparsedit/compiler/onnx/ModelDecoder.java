package io.sparsedit.compiler.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.FunctionProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.SparseTensorProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import com.google.protobuf.ByteString;
import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Extras;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Turns the messages of a model into the graph representation. */
final class ModelDecoder {
  private final Source source;

  ModelDecoder(Source source) {
    this.source = source;
  }

  Model decode(ModelProto proto) {
    if (!proto.hasGraph()) {
      throw source.failure("holds no graph: it is not an ONNX model, or it was cut off");
    }
    if (proto.getOpsetImportCount() == 0) {
      throw source.failure(
          "imports no operator set: it is not an ONNX model, or it was cut off; export it again");
    }
    Graph graph = Graph.create(proto.getGraph().getName());
    Model model = new Model(graph, proto.getIrVersion());
    model.setProducerName(proto.getProducerName());
    model.setProducerVersion(proto.getProducerVersion());
    model.setDocString(proto.getDocString());
    model.opsets().putAll(Extra.opsetMap(proto.getOpsetImportList()));
    model.metadata().putAll(Extra.map(proto.getMetadataPropsList()));
    ModelProto.Builder rest = proto.toBuilder().clearGraph().clearFunctions();
    if (proto.getIrVersion() != 0) {
      rest.clearIrVersion();
    }
    if (!proto.getProducerName().isEmpty()) {
      rest.clearProducerName();
    }
    if (!proto.getProducerVersion().isEmpty()) {
      rest.clearProducerVersion();
    }
    if (!proto.getDocString().isEmpty()) {
      rest.clearDocString();
    }
    if (Extra.isPlainOpsets(proto.getOpsetImportList())) {
      rest.clearOpsetImport();
    }
    if (Extra.isPlain(proto.getMetadataPropsList())) {
      rest.clearMetadataProps();
    }
    model.setExtras(Extra.of(rest.build()));
    fill(graph, proto.getGraph(), "");
    for (FunctionProto function : proto.getFunctionsList()) {
      Function decoded = decode(function);
      boolean known =
          model.functions().stream()
              .anyMatch(
                  f ->
                      f.domain().equals(decoded.domain())
                          && f.name().equals(decoded.name())
                          && f.overload().equals(decoded.overload()));
      if (known) {
        throw source.failure("function " + describe(function) + " is defined twice");
      }
      model.functions().add(decoded);
    }
    return model;
  }

  private Function decode(FunctionProto proto) {
    Function function = new Function(proto.getDomain(), proto.getName(), proto.getOverload());
    function.setDocString(proto.getDocString());
    function.opsets().putAll(Extra.opsetMap(proto.getOpsetImportList()));
    function.metadata().putAll(Extra.map(proto.getMetadataPropsList()));
    function.attributeNames().addAll(proto.getAttributeList());
    GraphProto.Builder body = GraphProto.newBuilder().setName(proto.getName());
    proto.getInputList().forEach(name -> body.addInputBuilder().setName(name));
    proto.getOutputList().forEach(name -> body.addOutputBuilder().setName(name));
    body.addAllNode(proto.getNodeList()).addAllValueInfo(proto.getValueInfoList());
    fill(function.body(), body.build(), "function " + describe(proto) + ", ");

    FunctionProto.Builder rest =
        proto.toBuilder().clearInput().clearOutput().clearNode().clearValueInfo().clearAttribute();
    if (!proto.getName().isEmpty()) {
      rest.clearName();
    }
    if (!proto.getDomain().isEmpty()) {
      rest.clearDomain();
    }
    if (!proto.getOverload().isEmpty()) {
      rest.clearOverload();
    }
    if (!proto.getDocString().isEmpty()) {
      rest.clearDocString();
    }
    if (Extra.isPlainOpsets(proto.getOpsetImportList())) {
      rest.clearOpsetImport();
    }
    if (Extra.isPlain(proto.getMetadataPropsList())) {
      rest.clearMetadataProps();
    }
    function
        .attributeDefaults()
        .putAll(defaults(proto.getAttributeProtoList(), source.at("function " + describe(proto))));
    if (ModelEncoder.attributes(function.attributeDefaults())
        .equals(proto.getAttributeProtoList())) {
      rest.clearAttributeProto();
    }
    function.setExtras(Extra.of(rest.build()));
    return function;
  }

  /** The default attributes of a function; a subgraph among them stays encoded. */
  static Map<String, Attribute> defaults(List<AttributeProto> protos, Source place) {
    Map<String, Attribute> defaults = new LinkedHashMap<>();
    ModelDecoder decoder = new ModelDecoder(place);
    for (AttributeProto proto : protos) {
      Attribute value = decoder.decode(proto, Optional.empty(), place);
      if (defaults.put(proto.getName(), value) != null) {
        throw place.failure("attribute '" + proto.getName() + "' is given twice");
      }
    }
    return defaults;
  }

  // ---- graphs ---------------------------------------------------------------------------------

  /**
   * Fills an empty graph. Names are resolved in the order of definition, so that a node can only
   * see what ONNX lets it see.
   */
  private void fill(Graph graph, GraphProto proto, String where) {
    graph.setName(proto.getName());
    graph.setDocString(proto.getDocString());
    graph.metadata().putAll(Extra.map(proto.getMetadataPropsList()));
    GraphProto.Builder rest =
        proto.toBuilder()
            .clearNode()
            .clearInitializer()
            .clearInput()
            .clearOutput()
            .clearValueInfo();
    if (!proto.getName().isEmpty()) {
      rest.clearName();
    }
    if (!proto.getDocString().isEmpty()) {
      rest.clearDocString();
    }
    if (Extra.isPlain(proto.getMetadataPropsList())) {
      rest.clearMetadataProps();
    }

    for (ValueInfoProto input : proto.getInputList()) {
      requireNew(graph, input.getName(), source.at(where + "graph input"));
      Types.decodeInto(input, graph.addInput(input.getName()));
    }
    decodeInitializers(proto, graph, where);
    GraphProto sorted = NodeOrder.sorted(proto);
    for (int i = 0; i < sorted.getNodeCount(); i++) {
      decode(sorted, i, graph, where);
    }
    decodeOutputs(proto, graph, where, rest);
    decodeValueInfo(proto, graph, rest);
    graph.setExtras(Extra.of(rest.build()));
  }

  private void decodeInitializers(GraphProto proto, Graph graph, String where) {
    for (TensorProto initializer : proto.getInitializerList()) {
      String name = initializer.getName();
      Source place = source.at(where + "initializer '" + name + "'");
      Optional<Value> input = graph.value(name).filter(graph.inputs()::contains);
      if (input.isEmpty() || input.get().constant().isPresent()) {
        requireNew(graph, name, place);
      }
      graph.addInitializer(name, Tensors.decode(initializer, place));
    }
    for (SparseTensorProto initializer : proto.getSparseInitializerList()) {
      String name = initializer.getValues().getName();
      if (graph.value(name).filter(graph.inputs()::contains).isEmpty()) {
        requireNew(graph, name, source.at(where + "sparse initializer"));
        graph.declareValue(name).setType(Types.of(initializer));
      }
    }
  }

  /** The extras keep a declaration that the output's value has no room for. */
  private void decodeOutputs(GraphProto proto, Graph graph, String where, GraphProto.Builder rest) {
    for (ValueInfoProto output : proto.getOutputList()) {
      String name = output.getName();
      Value value =
          graph
              .resolve(name)
              .orElseThrow(
                  () ->
                      source
                          .at(where + "graph '" + graph.name() + "'")
                          .failure(
                              "output '"
                                  + name
                                  + "' is neither an input nor computed by a node; export the"
                                  + " model again"));
      boolean declaresHere = ModelEncoder.declaresOutput(graph, graph.outputs().size(), value);
      graph.addOutput(value);
      if (declaresHere) {
        Types.decodeInto(output, value);
      } else if (!Types.encode(value).equals(output)) {
        rest.addOutput(output);
      }
    }
  }

  /**
   * The types of inner values go to the values; the extras keep their names, for the order. A
   * declaration that belongs to no inner value is kept whole.
   */
  private static void decodeValueInfo(GraphProto proto, Graph graph, GraphProto.Builder rest) {
    Set<Value> declared = new HashSet<>(graph.inputs());
    declared.addAll(graph.outputs());
    for (ValueInfoProto info : proto.getValueInfoList()) {
      Optional<Value> value = graph.value(info.getName());
      if (value.isPresent() && declared.add(value.get())) {
        Types.decodeInto(info, value.get());
      }
      boolean same = value.isPresent() && Types.encode(value.get()).equals(info);
      rest.addValueInfo(same ? ValueInfoProto.newBuilder().setName(info.getName()).build() : info);
    }
  }

  private static void requireNew(Graph graph, String name, Source place) {
    if (name.isEmpty()) {
      throw place.failure("has no name");
    }
    if (graph.resolve(name).isPresent()) {
      throw place.failure(
          "value '"
              + name
              + "' is defined a second time; every name may be defined once, also in an enclosing"
              + " graph");
    }
  }

  // ---- nodes ----------------------------------------------------------------------------------

  private void decode(GraphProto graphProto, int index, Graph graph, String where) {
    NodeProto proto = graphProto.getNode(index);
    Source place = source.at(where + "node " + describe(proto, index));
    if (proto.getOpType().isEmpty()) {
      throw place.failure("has no operator type");
    }
    Optional<Integer> missing = RequiredInputs.firstMissing(proto);
    if (missing.isPresent()) {
      throw place.failure(
          "has no input " + missing.get() + ", which the operator needs; export the model again");
    }
    Node node = graph.addNode(proto.getDomain(), proto.getOpType(), proto.getName(), List.of());
    for (int i = 0; i < proto.getInputCount(); i++) {
      String name = proto.getInput(i);
      if (name.isEmpty()) {
        node.clearInput(i);
      } else {
        Optional<Value> value = graph.resolve(name);
        if (value.isEmpty()) {
          throw place.failure(NodeOrder.whyUndefined(graphProto, index, name));
        }
        node.setInput(i, value.get());
      }
    }
    for (AttributeProto attribute : proto.getAttributeList()) {
      String name = attribute.getName();
      if (node.attribute(name).isPresent()) {
        throw place.failure("attribute '" + name + "' is given twice");
      }
      Attribute decoded = decode(attribute, Optional.of(graph), place);
      node.setAttribute(name, decoded);
      Extras extras = attributeExtras(attribute, decoded);
      if (!extras.isEmpty()) {
        node.setAttributeExtras(name, extras);
      }
    }
    for (String output : proto.getOutputList()) {
      if (!output.isEmpty()) {
        requireNew(graph, output, place);
      }
      node.addOutput(output);
    }
    if (node.is("Constant") && node.outputs().size() == 1) {
      // Its attribute stays as it is: the output alone tells the shape.
      proto.getAttributeList().stream()
          .filter(AttributeProto::hasSparseTensor)
          .forEach(sparse -> node.output().setType(Types.of(sparse.getSparseTensor())));
    }
    node.setOverload(proto.getOverload());
    node.setDocString(proto.getDocString());
    node.metadata().putAll(Extra.map(proto.getMetadataPropsList()));
    NodeProto.Builder rest =
        proto.toBuilder().clearInput().clearOutput().clearAttribute().clearOpType();
    if (!proto.getName().isEmpty()) {
      rest.clearName();
    }
    if (!node.domain().isEmpty()) {
      rest.clearDomain();
    }
    if (!proto.getOverload().isEmpty()) {
      rest.clearOverload();
    }
    if (!proto.getDocString().isEmpty()) {
      rest.clearDocString();
    }
    if (Extra.isPlain(proto.getMetadataPropsList())) {
      rest.clearMetadataProps();
    }
    node.setExtras(Extra.of(rest.build()));
  }

  /**
   * The value of an attribute.
   *
   * @param graph the node's graph; without one, subgraphs stay encoded
   */
  private Attribute decode(AttributeProto proto, Optional<Graph> graph, Source place) {
    if (!proto.getRefAttrName().isEmpty()) {
      return new Attribute.Reference(proto.getRefAttrName(), proto.getType().getNumber());
    }
    Source here = new Source(place.file(), place.place() + ", attribute '" + proto.getName() + "'");
    return switch (proto.getType()) {
      case INT -> new Attribute.IntValue(proto.getI());
      case FLOAT -> new Attribute.FloatValue(proto.getF());
      case INTS -> new Attribute.IntList(proto.getIntsList());
      case FLOATS -> new Attribute.FloatList(proto.getFloatsList());
      case STRING ->
          proto.getS().isValidUtf8()
              ? new Attribute.StringValue(proto.getS().toStringUtf8())
              : opaque(proto);
      case STRINGS ->
          proto.getStringsList().stream().allMatch(ByteString::isValidUtf8)
              ? new Attribute.StringList(
                  proto.getStringsList().stream().map(ByteString::toStringUtf8).toList())
              : opaque(proto);
      case TENSOR -> {
        if (!proto.hasT()) {
          throw here.failure("holds no tensor");
        }
        yield new Attribute.TensorValue(Tensors.decode(proto.getT(), here));
      }
      case GRAPH -> {
        if (!proto.hasG()) {
          throw here.failure("holds no graph");
        }
        yield graph.isPresent()
            ? new Attribute.GraphValue(subgraph(proto.getG(), graph.get(), here))
            : opaque(proto);
      }
      case GRAPHS ->
          graph.isPresent()
              ? new Attribute.GraphList(
                  proto.getGraphsList().stream().map(g -> subgraph(g, graph.get(), here)).toList())
              : opaque(proto);
      case UNDEFINED, SPARSE_TENSOR, SPARSE_TENSORS, TENSORS, TYPE_PROTO, TYPE_PROTOS ->
          opaque(proto);
    };
  }

  private static Attribute opaque(AttributeProto proto) {
    return new Attribute.Opaque(new Extras(proto.toByteArray()));
  }

  private Graph subgraph(GraphProto proto, Graph parent, Source place) {
    Graph subgraph = Graph.createSubgraph(parent, proto.getName());
    fill(subgraph, proto, place.place() + ", ");
    return subgraph;
  }

  /** What the representation loses of an attribute; see {@link ModelEncoder#attribute}. */
  private static Extras attributeExtras(AttributeProto proto, Attribute decoded) {
    if (decoded instanceof Attribute.Opaque) {
      return Extras.NONE;
    }
    boolean structured = ModelEncoder.isStructured(decoded);
    AttributeProto plain =
        structured
            ? AttributeProto.newBuilder().setName(proto.getName()).setType(proto.getType()).build()
            : ModelEncoder.attribute(proto.getName(), decoded);
    AttributeProto original =
        structured ? proto.toBuilder().clearT().clearG().clearGraphs().build() : proto;
    return original.equals(plain) ? Extras.NONE : Extra.of(original);
  }

  // ---- descriptions ---------------------------------------------------------------------------

  static String describe(NodeProto proto, int index) {
    String op =
        proto.getDomain().isEmpty()
            ? proto.getOpType()
            : proto.getDomain() + "." + proto.getOpType();
    return proto.getName().isEmpty()
        ? "#" + index + " (" + op + ")"
        : "'" + proto.getName() + "' (" + op + ")";
  }

  private static String describe(FunctionProto proto) {
    return proto.getDomain() + "." + proto.getName();
  }
}
