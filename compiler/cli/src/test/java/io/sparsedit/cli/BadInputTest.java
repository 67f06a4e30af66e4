package io.sparsedit.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Each bad input ends in one clear message and leaves nothing behind. */
final class BadInputTest {
  private static final Path WAN = CommandLineRun.zoo("wan21_t2v-ts17-static");

  @TempDir private Path folder;

  @Test
  void missingFile() throws IOException {
    expectFailure(folder.resolve("absent.onnx"), 1, "absent.onnx");
  }

  @Test
  void emptyFile() throws IOException {
    expectFailure(file("empty.onnx", new byte[0]), 1, "empty.onnx", "empty");
  }

  @Test
  void textFile() throws IOException {
    expectFailure(
        file("notes.onnx", "These are my notes.\n".getBytes(StandardCharsets.UTF_8)),
        1,
        "notes.onnx");
  }

  @Test
  void truncatedProtobuf() throws IOException {
    byte[] whole = Files.readAllBytes(WAN);
    expectFailure(file("cut.onnx", Arrays.copyOf(whole, whole.length / 2)), 1, "cut.onnx");
  }

  @Test
  void cycle() throws IOException {
    Graph graph = Graph.create("cycle");
    Value x = graph.addInput("x", ValueType.TensorType.of(DataType.FLOAT, 2));
    Node first = graph.addNode("", "Add", "first", List.of(x, x));
    Value a = first.addOutput("a");
    Node second = graph.addNode("", "Relu", "second", List.of(a));
    Value b = second.addOutput("b");
    first.setInput(1, b);
    b.setType(ValueType.TensorType.of(DataType.FLOAT, 2));
    graph.addOutput(b);

    expectFailure(write("cycle.onnx", graph, 17), 1, "cycle.onnx", "first");
  }

  @Test
  void danglingInput() throws IOException {
    Graph elsewhere = Graph.create("elsewhere");
    Value ghost = elsewhere.addInput("ghost");
    Graph graph = Graph.create("dangling");
    Node relu = graph.addNode("", "Relu", "haunted", List.of(ghost));
    Value y = relu.addOutput("y");
    y.setType(ValueType.TensorType.of(DataType.FLOAT, 2));
    graph.addOutput(y);

    expectFailure(write("dangling.onnx", graph, 17), 1, "dangling.onnx", "haunted", "ghost");
  }

  @Test
  void opsetBelowSixteen() throws IOException {
    Model model = OnnxReader.read(WAN);
    model.opsets().put("", 15L);
    Path file = folder.resolve("old.onnx");
    OnnxWriter.write(model, file);

    expectFailure(file, 1, "old.onnx", "opset 15", "16", "Export again");
  }

  /** What hides the attention is named, and not only that there is none. */
  @Test
  void nodesThatBreakTheirOperatorsRules() throws IOException {
    Model model = OnnxReader.read(WAN);
    model.graph().nodeList().stream()
        .filter(node -> node.is("Transpose") && node.name().contains("/attn"))
        .forEach(
            node ->
                node.setAttribute(
                    "perm",
                    new io.sparsedit.compiler.ir.Attribute.IntList(List.of(0L, 2L, 7L, 3L))));
    Path file = folder.resolve("turned.onnx");
    OnnxWriter.write(model, file);

    expectFailure(file, 4, "turned.onnx", "Transpose '/blocks.0/attn1/", "has no axis 7");
  }

  /** A pass that takes a Transpose for what it is fails on one that is none: the model's fault. */
  @Test
  void nodeThatBreaksItsOperatorsRulesInFrontOfAttention() throws IOException {
    Model model = OnnxReader.read(WAN);
    Node norm =
        model.graph().nodeList().stream()
            .filter(node -> node.name().startsWith("/blocks.0/attn1/norm_q/") && node.is("Mul"))
            .reduce((first, last) -> last)
            .orElseThrow();
    Node turned =
        model.graph().insertBefore(norm, "", "Transpose", "turned", List.of(norm.requiredInput(0)));
    turned.setAttribute(
        "perm", new io.sparsedit.compiler.ir.Attribute.IntList(List.of(0L, 1L, 9L)));
    Value output = turned.addOutput("turned");
    output.setType(ValueType.TensorType.of(DataType.FLOAT, 1, 192, 64));
    norm.setInput(0, output);
    Path file = folder.resolve("turned.onnx");
    OnnxWriter.write(model, file);

    expectFailure(file, 1, "turned.onnx", "Transpose 'turned'", "has no axis 9", "export it again");
  }

  /** ONNX Runtime takes neither, so that nothing can be compared, and that is said of the file. */
  @Test
  void irVersionAndOpsetThatOnnxRuntimeDoesNotKnow() throws IOException {
    Model newer = OnnxReader.read(WAN);
    newer.opsets().put("", 99L);
    Path opset = folder.resolve("opset.onnx");
    OnnxWriter.write(newer, opset);
    expectFailure(opset, 1, "opset.onnx cannot be verified", "--verify none");

    byte[] bytes = Files.readAllBytes(WAN);
    assertThat(bytes[0]).as("the field irVersion").isEqualTo((byte) 8);
    bytes[1] = 99;
    expectFailure(
        file("ir.onnx", bytes),
        1,
        "ir.onnx cannot be verified",
        "alone: model 'site': ONNX Runtime cannot load the model: Unsupported model IR version: 99",
        "--verify none");
  }

  @Test
  void outputsThatWouldReplaceTheModel() throws IOException {
    Path model = Files.copy(WAN, folder.resolve("wan.onnx"));
    for (String option : List.of("--plan", "--svg")) {
      CommandLineRun run = CommandLineRun.of("inspect", model, option, model);
      assertThat(run.exitCode()).as(run.err()).isEqualTo(2);
      assertThat(run.err()).contains(option + " " + model + " is the model itself");
    }
    Path both = folder.resolve("both");
    CommandLineRun twice = CommandLineRun.of("inspect", model, "--svg", both, "--plan", both);
    assertThat(twice.exitCode()).isEqualTo(2);
    assertThat(twice.err()).contains("--svg and --plan both name");

    assertThat(Files.mismatch(model, WAN)).isEqualTo(-1);
    assertThat(names()).containsExactly("wan.onnx");
  }

  @Test
  void emptyNames() {
    for (List<String> arguments :
        List.of(
            List.of("inspect", ""),
            List.of("compile", WAN.toString(), "-o", ""),
            List.of("verify", "", WAN.toString()))) {
      CommandLineRun run = CommandLineRun.of(arguments.toArray());
      assertThat(run.exitCode()).as(run.err()).isEqualTo(2);
      assertThat(run.err()).contains("the name is empty");
    }
  }

  /** What can be known before minutes of work is said before them. */
  @Test
  void placesThatCannotBeWrittenToAndInputsThatAreNotThere() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "");
    CommandLineRun below =
        CommandLineRun.of("compile", WAN, "-o", file.resolve("deep").resolve("out"));
    assertThat(below.exitCode()).isEqualTo(1);
    assertThat(below.err()).contains(file + " is a file. Choose another output folder.");

    Path absent = folder.resolve("absent");
    CommandLineRun inputs =
        CommandLineRun.of("compile", absent, "-o", folder.resolve("out"), "--inputs", absent);
    assertThat(inputs.exitCode()).isEqualTo(1);
    assertThat(inputs.err()).contains("cannot read the inputs in " + absent);

    CommandLineRun engine =
        CommandLineRun.of("compile", WAN, "-o", folder.resolve("out"), "--precision", "bf16");
    assertThat(engine.exitCode()).isEqualTo(2);
    assertThat(engine.err()).contains("--precision is for engines: add --target tensorrt");
  }

  @Test
  void descriptionThatLeadsOutOfTheBundle() throws IOException {
    Path bundle = folder.resolve("bundle");
    assertThat(CommandLineRun.of("compile", WAN, "-o", bundle, "--verify", "none").exitCode())
        .isZero();
    Path description = bundle.resolve("bundle.json");
    Files.writeString(
        description,
        Files.readString(description)
            .replace(
                "\"file\" : \"model.onnx\",\n    \"sha256\"",
                "\"file\" : \"../wan.onnx\", \"sha256\""));
    Files.copy(bundle.resolve("model.onnx"), folder.resolve("wan.onnx"));
    for (List<Object> arguments :
        List.<List<Object>>of(
            List.of("verify", bundle, WAN),
            List.of("build", bundle, "--onnx", folder.resolve("engine.onnx")),
            List.of("bench", bundle))) {
      CommandLineRun run = CommandLineRun.of(arguments.toArray());
      assertThat(run.exitCode()).as(run.err()).isEqualTo(1);
      assertThat(run.err()).contains("bundle.json", "../wan.onnx").doesNotContain("unexpected");
    }
  }

  /** A class label of a model with one class: 1 would be none. */
  @Test
  void integersThatAreLookedUpInATableOfOneRow() throws IOException {
    Model model = OnnxReader.read(WAN);
    Graph graph = model.graph();
    Value label = graph.addInput("label", ValueType.TensorType.of(DataType.INT64, 1));
    Value table =
        graph.addInitializer("table", Tensor.ofFloats(new long[] {1, 1}, 0.5f).named("table"));
    Value output = graph.outputs().get(0);
    Value sum = graph.append("Add", output, graph.append("Gather", table, label));
    sum.setType(output.type().orElseThrow());
    graph.addOutput(sum);
    Path file = folder.resolve("label.onnx");
    OnnxWriter.write(model, file);
    Path bundle = folder.resolve("bundle");

    CommandLineRun compiled = CommandLineRun.of("compile", file, "-o", bundle);
    assertThat(compiled.exitCode()).as(compiled.err()).isZero();
    assertThat(compiled.out()).contains("Verification (full)");
    assertThat(Files.readString(bundle.resolve("bundle.json"))).contains("\"tableLength\" : 1");

    CommandLineRun benched =
        CommandLineRun.of("bench", bundle, "--repeat", 2, "--warm-up", 0, "--actions", "DENSE");
    assertThat(benched.exitCode()).as(benched.err()).isZero();
  }

  @Test
  void missingExternalData() throws IOException {
    Path model = copyOfExternalModel();
    Files.delete(model.resolveSibling("model.onnx.data"));

    expectFailure(model, 1, "model.onnx.data", "tensor '", "and 29 more in the same file");
  }

  /** The bundle's model would take the place of the weights that it reads. */
  @Test
  void externalDataUnderTheNameOfAFileOfTheBundle() throws IOException {
    Path model = copyOfExternalModel();
    byte[] content = Files.readAllBytes(model);
    String text = new String(content, StandardCharsets.ISO_8859_1);
    Files.move(model.resolveSibling("model.onnx.data"), model.resolveSibling("./report.json"));
    Files.write(
        model,
        text.replace("model.onnx.data", "././report.json").getBytes(StandardCharsets.ISO_8859_1));

    expectFailure(model, 1, "model.onnx", "'././report.json'", "under another name");
  }

  @Test
  void shortExternalData() throws IOException {
    Path model = copyOfExternalModel();
    Path data = model.resolveSibling("model.onnx.data");
    Files.write(data, Arrays.copyOf(Files.readAllBytes(data), 1000));

    expectFailure(model, 1, "model.onnx.data");
  }

  @Test
  void externalDataOutsideOfTheModelsFolder() throws IOException {
    Files.write(folder.resolve("secret.bin"), new byte[16]);
    Path inner = Files.createDirectory(folder.resolve("inner"));
    Graph graph = Graph.create("escape");
    Value x = graph.addInput("x", ValueType.TensorType.of(DataType.FLOAT, 4));
    Value w =
        graph.addInitializer(
            "w",
            new Tensor(
                "w",
                DataType.FLOAT,
                new long[] {4},
                new Tensor.Storage.External(
                    "../secret.bin", 0, java.util.Optional.of(16L), java.util.Optional.empty()),
                io.sparsedit.compiler.ir.Extras.NONE));
    Value y = graph.append("Add", x, w);
    y.setType(ValueType.TensorType.of(DataType.FLOAT, 4));
    graph.addOutput(y);
    Model model = new Model(graph, 8);
    model.opsets().put("", 17L);
    Path file = inner.resolve("escape.onnx");
    OnnxWriter.write(model, file);

    expectFailure(file, 1, "escape.onnx", "../secret.bin");
  }

  @Test
  void modelWithoutAttention() throws IOException {
    Graph graph = Graph.create("classifier");
    Value x = graph.addInput("x", ValueType.TensorType.of(DataType.FLOAT, 2, 3));
    Value y = graph.append("Softmax", x);
    y.setType(ValueType.TensorType.of(DataType.FLOAT, 2, 3));
    graph.addOutput(y);

    expectFailure(write("classifier.onnx", graph, 17), 4, "classifier.onnx", "no attention");
  }

  /** softmax(q k^T) v with a value head dimension of its own: recognised, but left dense. */
  @Test
  void valueHeadDimensionOfItsOwn() throws IOException {
    Graph graph = Graph.create("wide_values");
    Value x = graph.addInput("x", ValueType.TensorType.of(DataType.FLOAT, 1, 2, 64, 8));
    Value wv = graph.addConstant("wv", Tensor.ofFloats(new long[] {8, 4}, new float[32]));
    Value wq = graph.addConstant("wq", Tensor.ofFloats(new long[] {8, 8}, new float[64]));
    Value q = graph.append("MatMul", x, wq);
    Node transpose = graph.addNode("", "Transpose", "", List.of(q));
    transpose.setAttribute(
        "perm", new io.sparsedit.compiler.ir.Attribute.IntList(List.of(0L, 1L, 3L, 2L)));
    Value scores = graph.append("MatMul", q, transpose.addOutput("kt"));
    Value y =
        graph.append("MatMul", graph.append("Softmax", scores), graph.append("MatMul", x, wv));
    y.setType(ValueType.TensorType.of(DataType.FLOAT, 1, 2, 64, 4));
    graph.addOutput(y);
    Path model = write("wide.onnx", graph, 17);

    CommandLineRun run =
        CommandLineRun.of("compile", model, "-o", folder.resolve("out"), "--video", "4x4x4");

    assertThat(run.exitCode()).isEqualTo(4);
    assertThat(run.err()).contains("the head dimension of v (4) is not that of q (8)");

    CommandLineRun smaller =
        CommandLineRun.of("compile", model, "-o", folder.resolve("out"), "--video", "2x2x2");

    assertThat(smaller.exitCode()).isEqualTo(2);
    assertThat(smaller.err()).contains("--video 2x2x2 is 8 tokens").contains("64");
  }

  /** As a full disk refuses to take it; a reader that has gone, such as head, is no failure. */
  @Test
  void outputThatCannotBeWritten() {
    for (String reason : List.of("No space left on device", "Broken pipe")) {
      CheckedOutput output =
          new CheckedOutput(
              new OutputStream() {
                @Override
                public void write(int b) throws IOException {
                  throw new IOException(reason);
                }
              });
      StringWriter err = new StringWriter();
      int exitCode =
          Main.run(new String[] {"inspect", WAN.toString()}, output, new PrintWriter(err));

      boolean full = !reason.equals("Broken pipe");
      assertThat(exitCode).isEqualTo(full ? 1 : 0);
      assertThat(err.toString())
          .isEqualTo(
              full
                  ? "sparsify-model: the output cannot be written: No space left on device; free"
                      + " some, or write to another place\n"
                  : "");
    }
  }

  @Test
  void unknownOptionAndUnknownCommand() {
    CommandLineRun option = CommandLineRun.of("compile", WAN, "-o", folder, "--topp", "0.5");
    assertThat(option.exitCode()).isEqualTo(2);
    assertThat(option.err()).contains("--topp").contains("--top-p");

    CommandLineRun command = CommandLineRun.of("compil", WAN);
    assertThat(command.exitCode()).isEqualTo(2);
  }

  @Test
  void badSettings() {
    for (List<String> bad :
        List.of(
            List.of("--top-p", "0"),
            List.of("--min-kept", "1.5"),
            List.of("--clusters", "many"),
            List.of("--dense-layers", "3-1"),
            List.of("--video", "21x45"))) {
      CommandLineRun run =
          CommandLineRun.of("compile", WAN, "-o", folder.resolve("out"), bad.get(0), bad.get(1));

      assertThat(run.exitCode()).as(bad.toString()).isEqualTo(2);
      assertThat(run.err()).contains(bad.get(0)).doesNotContain("\tat ");
    }
  }

  @Test
  void debugShowsTheStackTrace() throws IOException {
    Path empty = file("empty.onnx", new byte[0]);

    CommandLineRun run = CommandLineRun.of("inspect", "--debug", empty);

    assertThat(run.exitCode()).isEqualTo(1);
    assertThat(run.err()).contains("\tat io.sparsedit");
  }

  /** A file size limit stands in for a full disk: the system refuses to write on. */
  @Test
  void fullDiskLeavesNothingBehind() throws IOException, InterruptedException {
    Path out = folder.resolve("out");

    String printed =
        runWithFileSizeLimit(
            "-Donnxruntime.native.path=" + loadedOnnxRuntime(),
            "compile",
            WAN.toAbsolutePath().toString(),
            "-o",
            out.toString(),
            "--verify",
            "none");

    assertThat(printed).contains("model.onnx").doesNotContain("\tat ").endsWith("exit 1\n");
    assertThat(names()).isEmpty();
  }

  /** ONNX Runtime unpacks its library into the temporary folder first. */
  @Test
  void fullTemporaryFolderIsOneMessage() throws IOException, InterruptedException {
    String printed =
        runWithFileSizeLimit(
            "-Dunused=1",
            "compile",
            WAN.toAbsolutePath().toString(),
            "-o",
            folder.resolve("out").toString());

    assertThat(printed)
        .contains("sparsify-model: ONNX Runtime cannot be loaded")
        .contains("temporary folder")
        .doesNotContain("\tat ")
        .endsWith("exit 1\n");
    assertThat(names()).isEmpty();
  }

  /** Runs the command line in a process that may write files of 150 KB at most. */
  private static String runWithFileSizeLimit(String property, String... arguments)
      throws IOException, InterruptedException {
    assumeTrue(Files.isExecutable(Path.of("/bin/bash")), "needs bash for ulimit");
    List<String> command =
        new java.util.ArrayList<>(
            List.of(
                "/bin/bash",
                "-c",
                "ulimit -f 150; \"$@\"; echo exit $?",
                "bash",
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                "-XX:-UsePerfData",
                property,
                Main.class.getName()));
    command.addAll(List.of(arguments));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    process.waitFor();
    return printed;
  }

  /** The folder with the ONNX Runtime library that this process has loaded. */
  private static Path loadedOnnxRuntime() throws IOException {
    CommandLineRun.of("inspect", "--quiet", WAN);
    Path maps = Path.of("/proc/self/maps");
    assumeTrue(Files.exists(maps), "needs /proc");
    String library =
        Files.readAllLines(maps).stream()
            .filter(line -> line.endsWith("/libonnxruntime.so"))
            .findFirst()
            .orElseThrow();
    return Path.of(library.substring(library.indexOf('/'), library.lastIndexOf('/')));
  }

  private void expectFailure(Path model, int exitCode, String... parts) throws IOException {
    List<String> before = names();

    CommandLineRun run = CommandLineRun.of("compile", model, "-o", folder.resolve("out"));

    assertThat(run.exitCode()).as(run.err()).isEqualTo(exitCode);
    List<String> messages =
        run.err().lines().filter(line -> line.startsWith("sparsify-model:")).toList();
    assertThat(messages).hasSize(1);
    assertThat(messages.get(0)).contains(parts);
    assertThat(run.err()).doesNotContain("\tat ").doesNotContain("Exception");
    assertThat(names()).isEqualTo(before);
  }

  private Path file(String name, byte[] content) throws IOException {
    return Files.write(folder.resolve(name), content);
  }

  private Path write(String name, Graph graph, long opset) {
    Model model = new Model(graph, 8);
    model.opsets().put("", opset);
    Path file = folder.resolve(name);
    OnnxWriter.write(model, file);
    return file;
  }

  private Path copyOfExternalModel() throws IOException {
    Path original = CommandLineRun.zoo("wan21_t2v-ts17-external");
    Path inner = Files.createDirectory(folder.resolve("inner"));
    for (String name : List.of("model.onnx", "model.onnx.data")) {
      Files.copy(original.resolveSibling(name), inner.resolve(name));
    }
    return inner.resolve("model.onnx");
  }

  private List<String> names() throws IOException {
    try (Stream<Path> children = Files.list(folder)) {
      return children.map(child -> child.getFileName().toString()).sorted().toList();
    }
  }
}
