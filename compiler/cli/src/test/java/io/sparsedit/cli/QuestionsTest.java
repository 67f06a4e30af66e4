package io.sparsedit.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.onnx.OnnxWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.SAXException;

/** {@code inspect --explain}, {@code --trace} and {@code --svg}. */
final class QuestionsTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path WAN = CommandLineRun.zoo("wan21_t2v-ts17-static");
  private static final String HIGHLIGHT = "#fff1d0";
  private static final String FRAME = "#c0271d";

  @TempDir private Path folder;

  @Test
  void siteIsExplainedByItsRuleNodesAndNames() {
    CommandLineRun run = CommandLineRun.of("inspect", "--explain", "blocks.0.attn1", WAN);

    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out())
        .startsWith("Site blocks.0.attn1: self-attention, 2 heads x 32, 192 tokens.")
        .contains("It becomes sparse (svg2).")
        .contains("Rule attention.core (attention.rules:")
        .contains("  Softmax '/blocks.0/attn1/Softmax'")
        .containsPattern("\n  q +%\\S+ f32\\[1, 2, 192, 32\\]\n")
        .containsPattern("\n  k +%\\S+ f32\\[1, 192, 2, 32\\]\n")
        .containsPattern("\n  kt +#bshd\n")
        .containsPattern("\n  masked +#none\n")
        .containsPattern("\n  scale +0\\.17677");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "blocks.0.attn2",
        "/blocks.0/attn2/Softmax",
        "%/blocks.0/attn2/Softmax_output_0",
        "/blocks.0/attn2/Softmax_output_0",
        "\"Softmax '/blocks.0/attn2/Softmax'\""
      })
  void siteThatStaysDenseSaysWhyUnderEachOfItsNames(String subject) {
    CommandLineRun run = CommandLineRun.of("inspect", "--explain", subject.replace("\"", ""), WAN);

    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out())
        .startsWith("Site blocks.0.attn2: cross-attention, 2 heads x 32, 192 to 24 tokens.")
        .contains("It stays dense: cross-attention stays dense.");
  }

  @Test
  void attentionThatNoRuleFitsSaysWhereTheClosestStopped() throws IOException {
    Path model = model(graph -> attention(graph, -1, false));

    CommandLineRun run = CommandLineRun.of("inspect", "--explain", "odd", model);

    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out())
        .startsWith("Softmax 'odd' is not part of an attention site.")
        .containsPattern("Closest came rule attention.core at MatMul '?\\S+")
        .contains("  the mask fills with a number that is not low: with low = -1")
        .containsPattern("in attention.rules:\\d+:\\d+\n +low <= -10000 ")
        .contains("^~~~")
        .contains("What fits:")
        .contains("  Softmax 'odd'")
        .contains("Other rules:")
        .containsPattern("attention.batched at .*: q is not .batch, tokens, dimension.: %x is f32")
        .contains("--rules");
  }

  @Test
  void matchThatIsNoAttentionSaysWhatItIs() throws IOException {
    Path model = model(graph -> attention(graph, -1e9f, true));

    CommandLineRun run = CommandLineRun.of("inspect", "--explain", "odd", model);

    assertThat(run.out())
        .contains("not part of an attention site")
        .contains("fits, but its keys are weights: no input of the model reaches them.");
    JsonNode listed =
        JSON.readTree(CommandLineRun.of("inspect", "--json", model).out()).path("notUnderstood");
    assertThat(listed.path(0).path("reason").asText()).startsWith("its keys are weights");
  }

  @Test
  void nodeFarFromAttentionSaysSo() throws IOException {
    CommandLineRun conv = CommandLineRun.of("inspect", "--explain", "/patch_embedding/Conv", WAN);
    assertThat(conv.out()).contains("No rule that was tried got as far as this.");

    Path model = model(graph -> graph.append("Softmax", graph.inputs().get(0)));
    CommandLineRun alone = CommandLineRun.of("inspect", "--explain", "Softmax_out", model);
    assertThat(alone.exitCode() + alone.out() + alone.err())
        .containsAnyOf("No rule ends at it", "has no site, node or value");
  }

  @Test
  void wrongNamesAreUsageErrorsThatHelp() {
    expectUsage("blocks.0.atn1", "did you mean 'blocks.0.attn1'?");
    expectUsage("zzzzzz", "has no site, node or value named 'zzzzzz'", "'inspect' lists the sites");
    expectUsage(
        "hidden_states",
        "is an input",
        "name a node that reads it, such as Conv '/patch_embedding/");
    expectUsage("/rope/Constant", "is not in the graph any more when the rules are tried");
  }

  private static void expectUsage(String subject, String... parts) {
    CommandLineRun run = CommandLineRun.of("inspect", "--explain", subject, WAN);
    assertThat(run.exitCode()).as(subject).isEqualTo(2);
    assertThat(run.err()).contains(parts).doesNotContain("\tat ");
    assertThat(run.out()).isEmpty();
  }

  @Test
  void jsonHasTheExplanationAndTheTrace() throws IOException {
    Path model = model(graph -> attention(graph, -1, false));

    CommandLineRun run =
        CommandLineRun.of("inspect", "--json", "--trace", "--explain", "odd", model);

    JsonNode explanation = JSON.readTree(run.out()).path("explanation");
    assertThat(explanation.path("node").asText()).isEqualTo("Softmax 'odd'");
    assertThat(explanation.path("site").isNull()).isTrue();
    JsonNode closest = explanation.path("attempts").path(0);
    assertThat(closest.path("rule").asText()).isEqualTo("attention.core");
    assertThat(closest.path("reason").asText())
        .startsWith("the mask fills with a number that is not low");
    assertThat(closest.path("line").asInt()).isPositive();
    JsonNode core = JSON.readTree(run.out()).path("trace").path(0);
    assertThat(core.path("rule").asText()).isEqualTo("attention.core");
    assertThat(core.path("matches").asInt()).isZero();
    assertThat(core.path("bestPartial").path("reason").asText())
        .startsWith("the mask fills with a number that is not low");
  }

  @Test
  void traceCountsWhatTheRulesDid() throws IOException {
    CommandLineRun run = CommandLineRun.of("inspect", "--trace", WAN);
    assertThat(run.out())
        .contains("blocks.0.attn1")
        .containsPattern("attention.core +\\d+ +4 +\\d+\\.\\d ");

    int matches = 0;
    for (JsonNode rule :
        JSON.readTree(CommandLineRun.of("inspect", "--trace", "--json", WAN).out()).path("trace")) {
      matches += rule.path("matches").asInt();
      assertThat(rule.path("attempts").asInt())
          .isGreaterThanOrEqualTo(rule.path("matches").asInt());
      assertThat(rule.path("millis").asDouble()).isNotNegative();
    }
    assertThat(matches).isEqualTo(4);
  }

  @ParameterizedTest
  @CsvSource({
    "wan21_t2v-ts17-static, blocks.0.attn1",
    "wan21_t2v-ts17-external, blocks.1.attn2",
    "wan21_t2v-dynamo18-static, blocks.0.attn1"
  })
  void drawingHighlightsTheSiteAndKeepsTextInItsBoxes(String graph, String site) throws Exception {
    Path file = folder.resolve("site.svg");
    CommandLineRun run =
        CommandLineRun.of(
            "inspect", "--json", "--explain", site, "--svg", file, CommandLineRun.zoo(graph));

    assertThat(run.exitCode()).as(run.err()).isZero();
    Element svg = parse(file);
    JsonNode matched = JSON.readTree(run.out()).path("explanation").path("matched");
    assertThat(fills(svg, HIGHLIGHT)).hasSize(matched.size());
    assertThat(frames(svg)).isZero();
    assertThat(texts(svg)).contains("Softmax").anyMatch(text -> text.startsWith("q: f32["));
    checkText(svg);
  }

  @Test
  void drawingOfANodeFramesItAndSaysWhyItIsNoAttention() throws Exception {
    Path model = model(graph -> attention(graph, -1, false));
    Path file = folder.resolve("node.svg");

    CommandLineRun run = CommandLineRun.of("inspect", "--explain", "odd", "--svg", file, model);

    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out()).contains("Drawing of odd: " + file);
    Element svg = parse(file);
    assertThat(frames(svg)).isEqualTo(1);
    assertThat(texts(svg)).contains("Softmax 'odd' is not part of an attention site.");
    checkText(svg);
  }

  @Test
  void siteOfOneNodeIsHighlightedToo() throws Exception {
    Path model =
        model(
            23,
            graph -> {
              Value x = graph.inputs().get(0);
              return graph.append("Attention", x, x, x);
            });
    Path file = folder.resolve("one.svg");

    CommandLineRun run = CommandLineRun.of("inspect", "--svg", file, model);

    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(fills(parse(file), HIGHLIGHT)).hasSize(1);
  }

  @Test
  void drawingWithoutASubjectIsOfTheFirstSite() throws Exception {
    Path file = folder.resolve("first.svg");

    CommandLineRun run = CommandLineRun.of("inspect", "--svg", file, WAN);

    assertThat(run.out()).contains("blocks.1.attn2").contains("Drawing of blocks.0.attn1: " + file);
    assertThat(texts(parse(file)).get(0)).startsWith("Site blocks.0.attn1");
  }

  @Test
  void namesOfAnySortFitAndAreEscaped() throws Exception {
    String name = "<&\">注意力/".repeat(20);
    Path model =
        model(
            graph -> {
              Value out = attention(graph, -1e9f, false);
              out.producer().orElseThrow().setName(name);
              return out;
            });
    Path file = folder.resolve("names.svg");

    CommandLineRun run = CommandLineRun.of("inspect", "--explain", name, "--svg", file, model);

    assertThat(run.exitCode()).as(run.err()).isZero();
    checkText(parse(file));
    assertThat(Files.readString(file)).contains("注意力");
  }

  @Test
  void nothingToDrawAndNowhereToWrite() throws IOException {
    Path model = model(graph -> graph.append("Relu", graph.inputs().get(0)));
    CommandLineRun nothing = CommandLineRun.of("inspect", "--svg", folder.resolve("a.svg"), model);
    assertThat(nothing.exitCode()).isEqualTo(2);
    assertThat(nothing.err()).contains("has no attention site to draw").contains("--explain");

    Path absent = folder.resolve("absent").resolve("a.svg");
    CommandLineRun nowhere = CommandLineRun.of("inspect", "--svg", absent, WAN);
    assertThat(nowhere.exitCode()).isEqualTo(1);
    assertThat(nowhere.err()).contains(absent + ": cannot be written");
    assertThat(nowhere.out()).isEmpty();
  }

  // ---- graphs -----------------------------------------------------------------------------------

  private interface Body {
    Value build(Graph graph);
  }

  private Path model(Body body) {
    return model(17, body);
  }

  private Path model(long opset, Body body) {
    Graph graph = Graph.create("g");
    graph.addInput("x", ValueType.TensorType.of(DataType.FLOAT, 1, 2, 64, 8));
    Value y = body.build(graph);
    y.setType(ValueType.TensorType.of(DataType.FLOAT, 1, 2, 64, 8));
    graph.addOutput(y);
    Model model = new Model(graph, 8);
    model.opsets().put("", opset);
    Path file = folder.resolve("model.onnx");
    OnnxWriter.write(model, file);
    return file;
  }

  /** softmax(where(m, q k^T, fill)) v; its softmax is named odd. */
  private static Value attention(Graph graph, float fill, boolean keysAreWeights) {
    Value x = graph.inputs().get(0);
    Value mask = graph.addInput("m", ValueType.TensorType.of(DataType.BOOL, 64, 64));
    Value low = graph.addConstant("low", Tensor.scalar(fill));
    Value keys =
        graph.addConstant("keys", Tensor.ofFloats(new long[] {1, 2, 8, 64}, new float[2 * 8 * 64]));
    if (!keysAreWeights) {
      Node transpose = graph.addNode("", "Transpose", "turn", List.of(x));
      transpose.setAttribute("perm", new Attribute.IntList(List.of(0L, 1L, 3L, 2L)));
      keys = transpose.addOutput("kt");
    }
    Value scores = graph.append("Where", mask, graph.append("MatMul", x, keys), low);
    Node softmax = graph.addNode("", "Softmax", "odd", List.of(scores));
    return graph.append("MatMul", softmax.addOutput("probs"), x);
  }

  // ---- drawings ---------------------------------------------------------------------------------

  private static Element parse(Path file)
      throws IOException, ParserConfigurationException, SAXException {
    return DocumentBuilderFactory.newInstance()
        .newDocumentBuilder()
        .parse(file.toFile())
        .getDocumentElement();
  }

  private static List<Element> all(Element root, String tag) {
    NodeList found = root.getElementsByTagName(tag);
    List<Element> elements = new ArrayList<>();
    for (int i = 0; i < found.getLength(); i++) {
      elements.add((Element) found.item(i));
    }
    return elements;
  }

  private static List<Element> fills(Element svg, String fill) {
    return all(svg, "rect").stream().filter(r -> r.getAttribute("fill").equals(fill)).toList();
  }

  private static long frames(Element svg) {
    return all(svg, "rect").stream().filter(r -> r.getAttribute("stroke").equals(FRAME)).count();
  }

  private static List<String> texts(Element svg) {
    return all(svg, "text").stream().map(Element::getTextContent).toList();
  }

  /** Every box holds its text, and the page holds the heading; no two boxes overlap. */
  private static void checkText(Element svg) {
    double page = number(svg, "width");
    List<double[]> boxes = new ArrayList<>();
    for (Element group : all(svg, "g")) {
      List<Element> rects = all(group, "rect");
      if (rects.size() != 1) {
        continue;
      }
      Element rect = rects.get(0);
      double left = number(rect, "x");
      double top = number(rect, "y");
      double right = left + number(rect, "width");
      double bottom = top + number(rect, "height");
      boxes.add(new double[] {left, top, right, bottom});
      assertThat(all(group, "text")).isNotEmpty();
      for (Element text : all(group, "text")) {
        assertThat(number(text, "x")).isGreaterThan(left);
        assertThat(number(text, "x") + number(text, "textLength")).isLessThan(right);
        assertThat(number(text, "y") - number(text, "font-size")).isGreaterThan(top - 1);
        assertThat(number(text, "y")).isLessThan(bottom);
        // A column of a fixed-pitch font is .6 em; squeezed text would be hard to read.
        int columns = text.getTextContent().codePoints().map(point -> point < 0x1100 ? 1 : 2).sum();
        assertThat(number(text, "textLength"))
            .isGreaterThanOrEqualTo(0.6 * columns * number(text, "font-size") - 0.1);
      }
    }
    assertThat(boxes).isNotEmpty();
    for (double[] a : boxes) {
      for (double[] b : boxes) {
        boolean apart = a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1];
        assertThat(a == b || apart).isTrue();
      }
    }
    for (Element text : all(svg, "text")) {
      assertThat(number(text, "x") + number(text, "textLength")).isLessThan(page);
    }
  }

  private static double number(Element element, String attribute) {
    return Double.parseDouble(element.getAttribute(attribute));
  }
}
