package io.sparsedit.compiler.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.AttributeProto.AttributeType;
import ai.onnx.proto.OnnxMl.FunctionProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.SparseTensorProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorAnnotation;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TrainingInfoProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import io.sparsedit.compiler.ir.DataType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Messages for tests. */
final class Protos {
  private Protos() {}

  static ModelProto.Builder model(GraphProto.Builder graph) {
    return ModelProto.newBuilder().setIrVersion(10).addOpsetImport(opset("", 18)).setGraph(graph);
  }

  static Path write(ModelProto.Builder model, Path file) {
    try {
      return Files.write(file, model.build().toByteArray());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static OperatorSetIdProto opset(String domain, long version) {
    return OperatorSetIdProto.newBuilder().setDomain(domain).setVersion(version).build();
  }

  static NodeProto.Builder node(String op, String inputs, String outputs) {
    NodeProto.Builder node = NodeProto.newBuilder().setOpType(op).setName(op + "_" + outputs);
    for (String input : inputs.isEmpty() ? new String[0] : inputs.split(",", -1)) {
      node.addInput(input);
    }
    return node.addAllOutput(List.of(outputs.split(",")));
  }

  static ValueInfoProto value(String name, DataType type, long... dims) {
    TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
    for (long dim : dims) {
      shape.addDimBuilder().setDimValue(dim);
    }
    return ValueInfoProto.newBuilder()
        .setName(name)
        .setType(
            TypeProto.newBuilder()
                .setTensorType(
                    TypeProto.Tensor.newBuilder().setElemType(type.code()).setShape(shape)))
        .build();
  }

  static TensorProto.Builder tensor(String name, DataType type, long... dims) {
    TensorProto.Builder tensor = TensorProto.newBuilder().setName(name).setDataType(type.code());
    for (long dim : dims) {
      tensor.addDims(dim);
    }
    return tensor;
  }

  static TensorProto.Builder external(
      String name, String location, String offset, String length, long... dims) {
    TensorProto.Builder tensor =
        tensor(name, DataType.FLOAT, dims)
            .setDataLocation(TensorProto.DataLocation.EXTERNAL)
            .addExternalData(entry("location", location));
    if (!offset.isEmpty()) {
      tensor.addExternalData(entry("offset", offset));
    }
    if (!length.isEmpty()) {
      tensor.addExternalData(entry("length", length));
    }
    return tensor;
  }

  static StringStringEntryProto entry(String key, String value) {
    return StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
  }

  static AttributeProto.Builder attribute(String name, AttributeType type) {
    return AttributeProto.newBuilder().setName(name).setType(type);
  }

  /** A field that no version of ONNX has. */
  static UnknownFieldSet unknown() {
    return UnknownFieldSet.newBuilder()
        .addField(
            900,
            UnknownFieldSet.Field.newBuilder()
                .addVarint(7)
                .addLengthDelimited(ByteString.copyFromUtf8("later"))
                .build())
        .build();
  }

  /** x + 1 = y over one element. */
  static GraphProto.Builder addOne() {
    return GraphProto.newBuilder()
        .setName("add_one")
        .addInput(value("x", DataType.FLOAT, 1))
        .addInitializer(tensor("one", DataType.FLOAT, 1).addFloatData(1))
        .addNode(node("Add", "x,one", "y"))
        .addOutput(value("y", DataType.FLOAT, 1));
  }

  /** A model that uses every message of ONNX and every way to spell it that we know of. */
  static ModelProto.Builder everything() {
    GraphProto.Builder thenBranch =
        GraphProto.newBuilder()
            .setName("then")
            .addNode(node("Neg", "sum", "then_out"))
            .addValueInfo(value("sum", DataType.FLOAT, 2))
            .addOutput(value("then_out", DataType.FLOAT, 2));
    // Passes a value of the enclosing graph on, under a type of its own.
    GraphProto.Builder elseBranch =
        GraphProto.newBuilder().setName("else").addOutput(value("sum", DataType.FLOAT, 2));

    GraphProto.Builder graph =
        GraphProto.newBuilder()
            .setName("main")
            .setDocString("what it does")
            .setUnknownFields(unknown())
            .addMetadataProps(entry("k", "1"))
            .addMetadataProps(entry("k", "2"));
    graph
        .addInput(value("x", DataType.FLOAT, 2).toBuilder().setDocString("the input"))
        .addInput(value("with_default", DataType.FLOAT, 2))
        .addInput(
            ValueInfoProto.newBuilder()
                .setName("symbolic")
                .setUnknownFields(unknown())
                .setType(
                    TypeProto.newBuilder()
                        .setDenotation("IMAGE")
                        .setTensorType(
                            TypeProto.Tensor.newBuilder()
                                .setElemType(1)
                                .setShape(
                                    TensorShapeProto.newBuilder()
                                        .addDim(
                                            TensorShapeProto.Dimension.newBuilder()
                                                .setDimParam("batch")
                                                .setDenotation("DATA_BATCH"))
                                        .addDim(
                                            TensorShapeProto.Dimension.newBuilder().setDimValue(-1))
                                        .addDim(TensorShapeProto.Dimension.newBuilder())))))
        .addInput(
            ValueInfoProto.newBuilder()
                .setName("list")
                .setType(
                    TypeProto.newBuilder()
                        .setSequenceType(
                            TypeProto.Sequence.newBuilder()
                                .setElemType(value("", DataType.FLOAT).getType()))))
        .addInput(
            ValueInfoProto.newBuilder()
                .setName("cond")
                .setType(value("", DataType.BOOL).getType()));
    graph
        .addInitializer(tensor("with_default", DataType.FLOAT, 2).addFloatData(1).addFloatData(2))
        .addInitializer(
            tensor("raw", DataType.INT64, 2)
                .setRawData(ByteString.copyFrom(new byte[16]))
                .setDocString("")
                .setUnknownFields(unknown())
                .setDataLocation(TensorProto.DataLocation.DEFAULT))
        .addInitializer(
            tensor("longs", DataType.INT64, 3)
                .addInt64Data(-1)
                .addInt64Data(Long.MAX_VALUE)
                .addInt64Data(0))
        .addInitializer(tensor("doubles", DataType.DOUBLE, 1).addDoubleData(Math.PI))
        .addInitializer(tensor("u64", DataType.UINT64, 1).addUint64Data(-1))
        .addInitializer(tensor("u32", DataType.UINT32, 1).addUint64Data(0xffffffffL))
        .addInitializer(tensor("ints", DataType.INT32, 2).addInt32Data(-5).addInt32Data(5))
        .addInitializer(
            tensor("halfs", DataType.FLOAT16, 2).addInt32Data(0x3c00).addInt32Data(0xbc00))
        .addInitializer(tensor("signed_halfs", DataType.FLOAT16, 1).addInt32Data(-17408))
        .addInitializer(tensor("brain", DataType.BFLOAT16, 1).addInt32Data(0x3f80))
        .addInitializer(tensor("bytes", DataType.INT8, 2).addInt32Data(-128).addInt32Data(127))
        .addInitializer(tensor("ubytes", DataType.UINT8, 1).addInt32Data(255))
        .addInitializer(tensor("flags", DataType.BOOL, 2).addInt32Data(1).addInt32Data(0))
        .addInitializer(tensor("odd_flags", DataType.BOOL, 1).addInt32Data(4711))
        .addInitializer(tensor("nibbles", DataType.INT4, 3).addInt32Data(0x21).addInt32Data(0x03))
        .addInitializer(
            tensor("raw_nibbles", DataType.UINT4, 3).setRawData(ByteString.copyFrom(new byte[2])))
        .addInitializer(tensor("c64", DataType.COMPLEX64, 1).addFloatData(1).addFloatData(2))
        .addInitializer(tensor("c128", DataType.COMPLEX128, 1).addDoubleData(1).addDoubleData(2))
        .addInitializer(tensor("f8", DataType.FLOAT8E4M3FN, 1).addInt32Data(0x38))
        .addInitializer(
            tensor("words", DataType.STRING, 2)
                .addStringData(ByteString.copyFromUtf8("größer"))
                .addStringData(ByteString.copyFrom(new byte[] {(byte) 0xff})))
        .addInitializer(tensor("none", DataType.FLOAT, 0))
        .addInitializer(tensor("none_raw", DataType.FLOAT, 0).setRawData(ByteString.EMPTY))
        .addInitializer(
            TensorProto.newBuilder()
                .setName("newer")
                .setDataType(99)
                .addDims(1)
                .setRawData(ByteString.copyFrom(new byte[3])))
        .addInitializer(
            tensor("outside", DataType.FLOAT, 2)
                .setDataLocation(TensorProto.DataLocation.EXTERNAL)
                .addExternalData(entry("length", "8"))
                .addExternalData(entry("basepath", "x"))
                .addExternalData(entry("location", "weights.bin"))
                .addExternalData(entry("offset", "016")))
        .addSparseInitializer(
            SparseTensorProto.newBuilder()
                .setValues(tensor("sparse", DataType.FLOAT, 1).addFloatData(3))
                .setIndices(tensor("", DataType.INT64, 1).addInt64Data(1))
                .addDims(4));
    graph
        .addNode(
            node("Add", "x,with_default", "sum")
                .setDocString("adds")
                .addMetadataProps(entry("namespace", "blocks.0"))
                .setUnknownFields(unknown()))
        .addNode(node("Clip", "sum,,raw", "clipped").setName("").setDomain("ai.onnx"))
        .addNode(node("Neg", "sparse", "from_sparse").setDomain("").setOverload(""))
        .addNode(
            NodeProto.newBuilder()
                .setOpType("Dropout")
                .addInput("clipped")
                .addOutput("dropped")
                .addOutput(""))
        .addNode(
            node("If", "cond", "chosen")
                .addAttribute(attribute("then_branch", AttributeType.GRAPH).setG(thenBranch))
                .addAttribute(
                    attribute("else_branch", AttributeType.GRAPH)
                        .setDocString("otherwise")
                        .setG(elseBranch)))
        .addNode(
            node("Custom", "chosen", "custom")
                .setDomain("other.vendor")
                .addAttribute(attribute("i", AttributeType.INT).setI(5).setDocString("an int"))
                .addAttribute(attribute("zero", AttributeType.INT))
                .addAttribute(attribute("f", AttributeType.FLOAT).setF(Float.NaN))
                .addAttribute(
                    attribute("s", AttributeType.STRING).setS(ByteString.copyFromUtf8("ü")))
                .addAttribute(
                    attribute("b", AttributeType.STRING)
                        .setS(ByteString.copyFrom(new byte[] {(byte) 0xc3})))
                .addAttribute(attribute("is", AttributeType.INTS).addInts(1).addInts(-1))
                .addAttribute(attribute("no_is", AttributeType.INTS))
                .addAttribute(attribute("fs", AttributeType.FLOATS).addFloats(.5f))
                .addAttribute(
                    attribute("ss", AttributeType.STRINGS).addStrings(ByteString.copyFromUtf8("a")))
                .addAttribute(
                    attribute("bs", AttributeType.STRINGS)
                        .addStrings(ByteString.copyFrom(new byte[] {(byte) 0x80})))
                .addAttribute(
                    attribute("t", AttributeType.TENSOR)
                        .setT(tensor("", DataType.FLOAT).addFloatData(2))
                        .setUnknownFields(unknown()))
                .addAttribute(
                    attribute("ts", AttributeType.TENSORS)
                        .addTensors(tensor("", DataType.FLOAT).addFloatData(2)))
                .addAttribute(
                    attribute("gs", AttributeType.GRAPHS)
                        .addGraphs(
                            GraphProto.newBuilder()
                                .setName("g")
                                .addNode(node("Neg", "sum", "inner"))))
                .addAttribute(
                    attribute("st", AttributeType.SPARSE_TENSOR)
                        .setSparseTensor(SparseTensorProto.newBuilder().addDims(1)))
                .addAttribute(
                    attribute("tp", AttributeType.TYPE_PROTO)
                        .setTp(value("", DataType.INT8, 3).getType()))
                .addAttribute(AttributeProto.newBuilder().setName("untyped").setI(3)))
        .addNode(
            node("Twice", "custom", "doubled")
                .setDomain("local")
                .setOverload("f32")
                .addAttribute(attribute("factor", AttributeType.FLOAT).setF(2)));
    graph
        .addOutput(value("doubled", DataType.FLOAT, 2))
        .addOutput(value("x", DataType.FLOAT, 2))
        .addOutput(ValueInfoProto.newBuilder().setName("doubled"))
        .addValueInfo(value("clipped", DataType.FLOAT, 2))
        .addValueInfo(
            value("sum", DataType.FLOAT, 2).toBuilder()
                .setDocString("x + default")
                .addMetadataProps(entry("a", "b")))
        .addValueInfo(value("doubled", DataType.FLOAT, 2))
        .addValueInfo(value("of_nothing", DataType.FLOAT, 2))
        .addValueInfo(value("raw", DataType.INT64, 2))
        .addValueInfo(value("x", DataType.FLOAT, 2))
        .addQuantizationAnnotation(
            TensorAnnotation.newBuilder()
                .setTensorName("sum")
                .addQuantParameterTensorNames(entry("SCALE_TENSOR", "raw")));

    FunctionProto.Builder twice =
        FunctionProto.newBuilder()
            .setDomain("local")
            .setName("Twice")
            .setOverload("f32")
            .setDocString("x * factor")
            .addInput("a")
            .addOutput("b")
            .addAttribute("factor")
            .addAttributeProto(attribute("bias", AttributeType.FLOAT).setF(0).setDocString("added"))
            .addAttributeProto(
                attribute("table", AttributeType.TENSOR)
                    .setT(tensor("", DataType.FLOAT).addFloatData(2)))
            .addOpsetImport(opset("", 18))
            .addMetadataProps(entry("m", "n"))
            .setUnknownFields(unknown())
            .addNode(
                node("Constant", "", "c")
                    .addAttribute(
                        attribute("value_float", AttributeType.FLOAT).setRefAttrName("factor")))
            .addNode(node("Mul", "a,c", "b"))
            .addValueInfo(value("c", DataType.FLOAT))
            .addValueInfo(value("a", DataType.FLOAT, 2));
    return ModelProto.newBuilder()
        .setIrVersion(10)
        .setProducerName("pytorch")
        .setProducerVersion("")
        .setDomain("org.example")
        .setModelVersion(3)
        .setDocString("everything")
        .addOpsetImport(opset("ai.onnx", 18))
        .addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(18))
        .addOpsetImport(opset("local", 1))
        .addOpsetImport(opset("other.vendor", 1))
        .addMetadataProps(entry("source", "test"))
        .setUnknownFields(unknown())
        .setGraph(graph)
        .addFunctions(twice)
        .addTrainingInfo(
            TrainingInfoProto.newBuilder()
                .setAlgorithm(addOne())
                .addUpdateBinding(entry("a", "b")));
  }
}
