package io.sparsedit.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code --rules}: the example of docs/rules.md, precedence, and everything that is refused. */
final class OwnRulesTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path WAN = CommandLineRun.zoo("wan21_t2v-ts17-static");

  @TempDir private Path folder;
  private Path rules = Path.of("");

  @BeforeEach
  void makeFolder() throws IOException {
    rules = Files.createDirectory(folder.resolve("my-rules"));
  }

  @Test
  void exampleOfTheDocumentationFindsWhatTheBuiltInRulesDoNot() throws IOException {
    Path model = powersOfTwo();

    CommandLineRun without = CommandLineRun.of("inspect", "--json", model);
    assertThat(without.exitCode()).as("no site is found without it").isEqualTo(4);
    assertThat(JSON.readTree(without.out()).path("sites")).isEmpty();

    Files.writeString(rules.resolve("own.rules"), exampleOfTheDocumentation());
    CommandLineRun with = CommandLineRun.of("inspect", "--json", "--rules", rules, model);
    assertThat(with.exitCode()).as(with.err()).isZero();
    JsonNode found = JSON.readTree(with.out());
    JsonNode original = JSON.readTree(CommandLineRun.of("inspect", "--json", WAN).out());
    assertThat(found.path("notUnderstood")).isEmpty();
    assertThat(found.path("sites")).hasSize(4);
    for (int i = 0; i < 4; i++) {
      JsonNode site = found.path("sites").path(i);
      for (String key : List.of("kind", "heads", "headDim", "queryTokens", "keyTokens")) {
        assertThat(site.path(key)).isEqualTo(original.path("sites").path(i).path(key));
      }
      assertThat(site.path("rule").asText()).isEqualTo("own.powers_of_two");
    }
  }

  @Test
  void resultOfTheExampleEqualsTheOriginal() throws IOException {
    Files.writeString(rules.resolve("own.rules"), exampleOfTheDocumentation());

    CommandLineRun run =
        CommandLineRun.of("compile", "--rules", rules, powersOfTwo(), "-o", folder.resolve("out"));

    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out()).contains("With everything kept the result equals the dense model");
  }

  @Test
  void ownRuleGoesFirstWhereTheBenefitIsEqual() throws IOException {
    String core =
        Files.readString(Path.of("../../passes/src/main/resources/rules/attention.rules"));
    int start = core.indexOf("rule attention.core");
    String copy = core.substring(start, core.indexOf("\nrule ", start));
    Files.writeString(rules.resolve("own.rules"), copy.replace("attention.core", "own.core"));

    CommandLineRun run = CommandLineRun.of("inspect", "--json", "--rules", rules, WAN);

    assertThat(run.exitCode()).as(run.err()).isZero();
    JSON.readTree(run.out())
        .path("sites")
        .forEach(site -> assertThat(site.path("rule").asText()).isEqualTo("own.core"));
  }

  @Test
  void everyFaultIsNamedWithItsPlace() throws IOException {
    String body = "{ match { out = MatMul(x, y); } }";
    expectRefused("rule own.a { match { out = Softmx(x); } }", 1, ":1:28: error", "'Softmax'");
    expectRefused(
        "rule attention.core " + body,
        1,
        "own.rules:1:6: error: rule 'attention.core' is declared before, at attention.rules:");
    expectRefused(
        "pattern noise(x) = Relu(x);",
        1,
        "own.rules:1:9: error: pattern 'noise' is declared before, at attention.rules:");
    expectRefused(
        "rule own.a " + body,
        1,
        "own.rules:1:6: error: rule 'own.a' makes no sparsedit.Attention",
        "has nothing named 'q'",
        "has nothing named 'scale'");
    expectRefused(
        "rule own.a { match { p = Softmax(MatMul(q, k)); out = MatMul(p, v); } let scale = 1.0;"
            + " rewrite { out = sparsedit.Attention(q, v); } }",
        1,
        "sparsedit.Attention takes q, k, v",
        "needs the attribute scale");
  }

  @Test
  void ruleForWrongShapesIsNamedWithTheNodeWhereItMatches() throws IOException {
    expectRefused(
        "rule own.a { benefit 1000; match { p = Softmax(s); out = MatMul(p, v); } where { v: [...,"
            + " _, _]; } let scale = 1.0; let q = 1; rewrite { out = sparsedit.Attention(s, p, v) {"
            + " scale = scale }; } }",
        1,
        "own.rules:1:6: error",
        "has nothing named 'k'");
    expectRefused(
        "rule own.a { benefit 1000; match { k = Softmax(q); out = MatMul(k, v); } let scale = 1.0;"
            + " rewrite { out = sparsedit.Attention(Flatten(q), k, v) { scale = scale }; } }",
        1,
        "own.rules:1:6: error: rule 'own.a' matches at MatMul '/blocks.0/attn1/MatMul_1', but input"
            + " 0 of its sparsedit.Attention is [1, 73728]",
        "q: [B, H, Sq, D];");
  }

  @Test
  void folderMustHoldRules() {
    CommandLineRun empty = CommandLineRun.of("inspect", "--rules", rules, WAN);
    assertThat(empty.exitCode()).isEqualTo(1);
    assertThat(empty.err()).contains(rules + " holds no rule file").contains(".rules");

    CommandLineRun absent = CommandLineRun.of("inspect", "--rules", folder.resolve("no"), WAN);
    assertThat(absent.exitCode()).isEqualTo(1);
    assertThat(absent.err()).contains("there is no such folder");

    CommandLineRun file = CommandLineRun.of("inspect", "--rules", WAN, WAN);
    assertThat(file.exitCode()).isEqualTo(1);
    assertThat(file.err()).contains("is no folder");
  }

  private void expectRefused(String text, int exitCode, String... parts) throws IOException {
    Files.writeString(rules.resolve("own.rules"), text);

    CommandLineRun run =
        CommandLineRun.of("compile", "--rules", rules, WAN, "-o", folder.resolve("out"));

    assertThat(run.exitCode()).as(run.err()).isEqualTo(exitCode);
    assertThat(run.err()).contains(parts).doesNotContain("\tat ").doesNotContain("unexpected");
    assertThat(folder.resolve("out")).doesNotExist();
  }

  private static String exampleOfTheDocumentation() throws IOException {
    Matcher matcher =
        Pattern.compile("```rules attention\n(.*?)```", Pattern.DOTALL)
            .matcher(Files.readString(Path.of("../../docs/rules.md")));
    assertThat(matcher.find()).isTrue();
    return matcher.group(1);
  }

  /** Wan with every {@code softmax(x)} written as {@code 2^y / sum(2^y)}, y = x / ln 2. */
  private Path powersOfTwo() {
    Model model = OnnxReader.read(WAN);
    Graph graph = model.graph();
    Value two = graph.addConstant("two", Tensor.scalar(2f));
    Value factor = graph.addConstant("factor", Tensor.scalar((float) (1 / Math.log(2))));
    Value keys = graph.addConstant("keys", Tensor.vector(-1));
    for (Node softmax : graph.nodeList()) {
      if (!softmax.is("Softmax")) {
        continue;
      }
      Value scores = graph.insertBefore(softmax, "Mul", softmax.requiredInput(0), factor);
      Value powers = graph.insertBefore(softmax, "Pow", two, scores);
      Value total = graph.insertBefore(softmax, "ReduceSum", powers, keys);
      Value probabilities = graph.insertBefore(softmax, "Div", powers, total);
      softmax.output().replaceAllUsesWith(probabilities);
    }
    graph.removeDeadNodes();
    Path file = folder.resolve("powers_of_two.onnx");
    OnnxWriter.write(model, file);
    return file;
  }
}
