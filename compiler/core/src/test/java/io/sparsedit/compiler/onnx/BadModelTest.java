package io.sparsedit.compiler.onnx;

import static io.sparsedit.compiler.onnx.Protos.addOne;
import static io.sparsedit.compiler.onnx.Protos.attribute;
import static io.sparsedit.compiler.onnx.Protos.external;
import static io.sparsedit.compiler.onnx.Protos.model;
import static io.sparsedit.compiler.onnx.Protos.node;
import static io.sparsedit.compiler.onnx.Protos.tensor;
import static io.sparsedit.compiler.onnx.Protos.value;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import ai.onnx.proto.OnnxMl.AttributeProto.AttributeType;
import ai.onnx.proto.OnnxMl.FunctionProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import com.google.protobuf.ByteString;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.TestData;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Each kind of bad input ends in one message that names the file, the place and the reason. */
class BadModelTest {
  @TempDir Path folder;

  // ---- the file -------------------------------------------------------------------------------

  @Test
  void aFileThatIsNotThere() {
    fails(folder.resolve("no.onnx"), "there is no such file");
  }

  @Test
  void aFolder() {
    fails(folder, "is a folder; give the .onnx file in it");
  }

  @Test
  void anEmptyFile() throws IOException {
    fails(file(new byte[0]), "is empty, not an ONNX model");
  }

  @Test
  void aTextFile() throws IOException {
    fails(file("# a model\nx = 1\n"), "is a text file, not an ONNX model");
  }

  @Test
  void aGitLfsPointer() throws IOException {
    fails(
        file("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
        "is a Git LFS pointer");
  }

  @Test
  void aPytorchCheckpoint() throws IOException {
    fails(file("PK\3\4\0\0"), "PyTorch checkpoint");
  }

  @Test
  void aTruncatedModel() throws IOException {
    byte[] whole = Files.readAllBytes(TestData.model("wan21_t2v-ts17-static"));
    fails(file(Arrays.copyOf(whole, whole.length / 2)), "cut off");
  }

  @Test
  void aModelCutOffBetweenTwoFields() throws IOException {
    ModelProto noOpset = model(addOne()).clearOpsetImport().build();
    fails(file(noOpset.toByteArray()), "imports no operator set", "cut off");
  }

  @Test
  void aMessageWithoutGraph() throws IOException {
    fails(file(ModelProto.newBuilder().setIrVersion(8).build().toByteArray()), "holds no graph");
  }

  @Test
  void aBombOfNestedSubgraphs() throws IOException {
    // Nested by hand, from the inside out: protobuf would refuse to parse what it refuses to build.
    ByteString graph = GraphProto.newBuilder().setName("g").build().toByteString();
    for (int i = 0; i < 5000; i++) {
      ByteString attribute = field(6, graph).concat(ByteString.copyFrom(new byte[] {10, 1, 'a'}));
      ByteString node = field(5, attribute).concat(field(4, ByteString.copyFromUtf8("If")));
      graph = field(1, node);
    }
    ByteString model =
        field(7, graph).concat(ByteString.copyFrom(new byte[] {8, 10, 66, 2, 16, 18}));
    fails(file(model.toByteArray()), "nests subgraphs");
  }

  private static ByteString field(int number, ByteString content) {
    ByteString.Output out = ByteString.newOutput();
    out.write((number << 3) | 2);
    int size = content.size();
    while (size >= 128) {
      out.write((size & 127) | 128);
      size >>>= 7;
    }
    out.write(size);
    return out.toByteString().concat(content);
  }

  // ---- the graph ------------------------------------------------------------------------------

  @Test
  void aCycle() {
    fails(
        addOne().addNode(node("Mul", "y,b", "a")).addNode(node("Neg", "a", "b")),
        "node 'Mul_a' (Mul)",
        "reads 'b'",
        "node 'Neg_b' (Neg)",
        "cycle");
  }

  @Test
  void aNodeWithoutAnInputThatItsOperatorNeeds() {
    fails(addOne().addNode(node("Mul", "y", "a")), "node 'Mul_a' (Mul)", "no input 1", "export");
    fails(addOne().addNode(node("Where", "y,,y", "a")), "node 'Where_a' (Where)", "no input 1");
  }

  /** ONNX Runtime takes it, and converters to half precision write it. */
  @Test
  void aUseBeforeTheDefinitionIsSorted() {
    GraphProto.Builder graph =
        addOne().addNode(node("Neg", "b", "a")).addNode(node("Neg", "x", "b"));

    Model model = OnnxReader.read(Protos.write(model(graph), folder.resolve("model.onnx")));

    assertThat(model.graph().nodeList().stream().map(Node::name)).endsWith("Neg_b", "Neg_a");
  }

  @Test
  void aDanglingInput() {
    fails(addOne().addNode(node("Neg", "ghost", "a")), "node 'Neg_a' (Neg)", "'ghost'");
  }

  @Test
  void aDanglingInputInABranch() {
    fails(
        addOne()
            .addNode(
                node("If", "x", "a")
                    .addAttribute(
                        attribute("then_branch", AttributeType.GRAPH)
                            .setG(GraphProto.newBuilder().addNode(node("Neg", "a", "b"))))),
        "node 'If_a' (If), attribute 'then_branch', node 'Neg_b' (Neg)",
        "'a'");
  }

  @Test
  void aValueThatIsComputedTwice() {
    fails(addOne().addNode(node("Neg", "x", "y")), "node 'Neg_y' (Neg)", "'y'", "second time");
  }

  @Test
  void anInitializerThatIsThereTwice() {
    fails(
        addOne().addInitializer(tensor("one", DataType.FLOAT).addFloatData(2)),
        "initializer 'one'",
        "second time");
  }

  @Test
  void aBranchThatHidesAValueOfTheEnclosingGraph() {
    fails(
        addOne()
            .addNode(
                node("If", "x", "a")
                    .addAttribute(
                        attribute("then_branch", AttributeType.GRAPH)
                            .setG(GraphProto.newBuilder().addNode(node("Neg", "x", "y"))))),
        "'y'",
        "enclosing graph");
  }

  @Test
  void anOutputThatNothingComputes() {
    fails(addOne().addOutput(value("ghost", DataType.FLOAT)), "output 'ghost'");
  }

  @Test
  void anAttributeThatIsThereTwice() {
    fails(
        addOne()
            .addNode(
                node("Neg", "x", "a")
                    .addAttribute(attribute("k", AttributeType.INT).setI(1))
                    .addAttribute(attribute("k", AttributeType.INT).setI(2))),
        "node 'Neg_a' (Neg)",
        "attribute 'k' is given twice");
  }

  @Test
  void aFunctionThatCallsItself() throws IOException {
    ModelProto.Builder bad =
        model(addOne())
            .addOpsetImport(Protos.opset("local", 1))
            .addFunctions(
                FunctionProto.newBuilder()
                    .setDomain("local")
                    .setName("F")
                    .addInput("a")
                    .addOutput("b")
                    .addOpsetImport(Protos.opset("local", 1))
                    .addNode(node("F", "a", "b").setDomain("local")));
    fails(Protos.write(bad, folder.resolve("model.onnx")), "function local.F calls itself");
  }

  @Test
  void aFunctionThatReadsWhatIsNotItsInput() throws IOException {
    ModelProto.Builder bad =
        model(addOne())
            .addOpsetImport(Protos.opset("local", 1))
            .addFunctions(
                FunctionProto.newBuilder()
                    .setDomain("local")
                    .setName("F")
                    .addOutput("b")
                    .addNode(node("Neg", "x", "b")));
    fails(
        Protos.write(bad, folder.resolve("model.onnx")),
        "function local.F, node 'Neg_b' (Neg)",
        "'x'");
  }

  // ---- tensors --------------------------------------------------------------------------------

  @Test
  void negativeDimensions() {
    failsWith(tensor("t", DataType.FLOAT, 2, -1), "negative dimension", "[2, -1]");
  }

  @Test
  void dimensionsWhoseProductNoLongHolds() {
    failsWith(tensor("t", DataType.FLOAT, 1L << 40, 1L << 40), "too large");
    failsWith(tensor("t", DataType.DOUBLE, 1L << 62), "too large");
  }

  @Test
  void rawDataOfAnotherSize() {
    failsWith(
        tensor("t", DataType.FLOAT, 2).setRawData(ByteString.copyFrom(new byte[7])),
        "f32[2] needs 8 bytes of raw data, the tensor holds 7");
  }

  @Test
  void anotherNumberOfElements() {
    failsWith(tensor("t", DataType.FLOAT, 2).addFloatData(1), "f32[2] needs 2 numbers", "holds 1");
    failsWith(tensor("t", DataType.FLOAT, 1).addInt64Data(1), "f32[1] needs 1 numbers", "holds 0");
    failsWith(tensor("t", DataType.STRING, 1), "[1] needs 1 strings, the tensor holds 0");
  }

  // ---- external data --------------------------------------------------------------------------

  @Test
  void externalDataThatIsMissing() {
    failsWith(external("t", "gone.bin", "0", "8", 2), "gone.bin is missing");
  }

  @Test
  void theGraphAloneCanBeReadWithoutItsExternalData() {
    Path file =
        Protos.write(
            model(addOne().addInitializer(external("t", "gone.bin", "0", "8", 2))),
            folder.resolve("model.onnx"));

    assertThat(OnnxReader.readGraph(file).graph().value("t")).isPresent();
  }

  @Test
  void externalDataThatIsTooShort() throws IOException {
    Files.write(folder.resolve("w.bin"), new byte[12]);
    failsWith(external("t", "w.bin", "8", "8", 2), "too short", "bytes 8 to 16", "has 12");
    failsWith(external("t", "w.bin", "8", "", 2), "too short", "bytes 8 to 16", "has 12");
  }

  @Test
  void externalDataOutsideOfTheFolder() {
    failsWith(external("t", "/etc/passwd", "0", "8", 2), "'/etc/passwd'", "relative path");
    failsWith(external("t", "../w.bin", "0", "8", 2), "'../w.bin'");
    failsWith(external("t", "a/../../w.bin", "0", "8", 2), "'a/../../w.bin'");
    failsWith(external("t", "..\\w.bin", "0", "8", 2), "'..\\w.bin'");
    failsWith(external("t", "C:\\w.bin", "0", "8", 2), "'C:\\w.bin'");
    failsWith(external("t", "", "0", "8", 2), "no location");
    failsWith(external("t", "a\0b", "0", "8", 2), "not a file name");
  }

  @Test
  void externalDataThatIsALinkOutOfTheFolder() throws IOException {
    Path outside = Files.createDirectories(folder.resolve("outside")).resolve("secret.bin");
    Files.write(outside, new byte[8]);
    Path inside = Files.createDirectories(folder.resolve("model"));
    Files.createSymbolicLink(inside.resolve("w.bin"), outside);
    Path file =
        Protos.write(
            model(addOne().addInitializer(external("t", "w.bin", "0", "8", 2))),
            inside.resolve("model.onnx"));

    fails(file, "tensor 't'", "symbolic link out of the model's folder");
  }

  @Test
  void externalDataWithBadNumbers() {
    failsWith(external("t", "w.bin", "-8", "8", 2), "offset is '-8'");
    failsWith(external("t", "w.bin", "x", "8", 2), "offset is 'x'");
    failsWith(external("t", "w.bin", "99999999999999999999", "8", 2), "offset is '999");
    failsWith(external("t", "w.bin", "0", "-1", 2), "length is '-1'");
    failsWith(external("t", "w.bin", "0", "4", 2), "needs 8 bytes", "has 4");
    failsWith(external("t", "w.bin", Long.toString(Long.MAX_VALUE), "8", 2), "beyond any file");
  }

  @Test
  void externalStrings() {
    failsWith(
        external("t", "w.bin", "0", "8", 2).setDataType(DataType.STRING.code()),
        "cannot be in an external file");
  }

  // ---- helpers --------------------------------------------------------------------------------

  private void failsWith(TensorProto.Builder tensor, String... expected) {
    String[] all = Arrays.copyOf(expected, expected.length + 1);
    all[expected.length] = "'t'";
    fails(addOne().addInitializer(tensor), all);
  }

  private void fails(GraphProto.Builder graph, String... expected) {
    fails(Protos.write(model(graph), folder.resolve("model.onnx")), expected);
  }

  private static void fails(Path file, String... expected) {
    SparsifyException e =
        catchThrowableOfType(SparsifyException.class, () -> OnnxReader.read(file));
    assertThat(e).isNotNull();
    assertThat(e.kind()).isEqualTo(SparsifyException.Kind.FAILURE);
    assertThat(e).hasMessageStartingWith(file + ": ").hasMessageContainingAll(expected);
    assertThat(String.valueOf(e.getMessage()).lines()).hasSize(1);
  }

  private Path file(String text) throws IOException {
    return file(text.getBytes(StandardCharsets.ISO_8859_1));
  }

  private Path file(byte[] bytes) throws IOException {
    return Files.write(folder.resolve("model.onnx"), bytes);
  }
}
