package io.sparsedit.compiler.rules;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.rules.check.RuleChecker;
import io.sparsedit.compiler.rules.match.Externs;
import io.sparsedit.compiler.rules.syntax.Diagnostic;
import io.sparsedit.compiler.rules.syntax.Problem;
import io.sparsedit.compiler.rules.syntax.Problems;
import io.sparsedit.compiler.rules.syntax.RuleParser;
import io.sparsedit.compiler.rules.syntax.Source;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Broken snippets, in the files of {@code rules/failures} with {@code // -----} between them. The
 * comment lines above a snippet are all its problems: {@code // NAME line:column message}, lines
 * counted from the first after the comments.
 *
 * <p>With {@code -Dsparsedit.bless=true} the comments are rewritten to what is reported.
 */
class DiagnosticsTest {
  private static final Externs EXTERNS =
      Externs.builder().predicate("uniform", args -> Optional.empty()).build();
  private static final String SEPARATOR = "// -----\n";

  private record Snippet(String file, List<String> expected, String text) {
    List<Problem> problems() {
      Problems problems = new Problems();
      String full = text.replace("@@@", "x, ".repeat(600));
      RuleParser.parse(new Source("snippet", full), problems)
          .ifPresent(file -> new RuleChecker(EXTERNS, problems).check(List.of(file)));
      return problems.all();
    }

    List<String> reported() {
      return problems().stream()
          .map(
              p ->
                  p.diagnostic()
                      + " "
                      + p.span().line()
                      + ":"
                      + p.span().column()
                      + " "
                      + p.message())
          .toList();
    }

    @Override
    public String toString() {
      return file + ": " + text.lines().findFirst().orElse("");
    }
  }

  private static Path folder() {
    return Path.of("src/test/resources/rules/failures");
  }

  private static List<Path> files() throws IOException {
    try (Stream<Path> files = Files.list(folder())) {
      return files.sorted(Comparator.naturalOrder()).toList();
    }
  }

  private static List<Snippet> snippets(Path file) throws IOException {
    List<Snippet> snippets = new ArrayList<>();
    for (String part : Files.readString(file).split(SEPARATOR)) {
      List<String> expected =
          part.lines().takeWhile(l -> l.startsWith("// ")).map(l -> l.substring(3)).toList();
      String text = part.lines().skip(expected.size()).collect(Collectors.joining("\n", "", "\n"));
      snippets.add(new Snippet(String.valueOf(file.getFileName()), expected, text));
    }
    return snippets;
  }

  static List<Snippet> snippets() throws IOException {
    List<Snippet> all = new ArrayList<>();
    for (Path file : files()) {
      all.addAll(snippets(file));
    }
    return all;
  }

  @ParameterizedTest
  @MethodSource("snippets")
  void reportsTheProblem(Snippet snippet) {
    assertThat(snippet.reported()).isEqualTo(snippet.expected());
  }

  @Test
  void everyDiagnosticHasASnippet() throws IOException {
    if (Boolean.getBoolean("sparsedit.bless")) {
      for (Path file : files()) {
        List<String> parts = new ArrayList<>();
        for (Snippet snippet : snippets(file)) {
          String comments =
              snippet.reported().stream().map(l -> "// " + l + "\n").collect(Collectors.joining());
          parts.add(comments + snippet.text());
        }
        Files.writeString(file, String.join(SEPARATOR, parts));
      }
    }
    Set<Diagnostic> missing = EnumSet.allOf(Diagnostic.class);
    for (Snippet snippet : snippets()) {
      snippet.problems().forEach(p -> missing.remove(p.diagnostic()));
    }
    assertThat(missing).isEmpty();
  }

  @Test
  void showsFileLineColumnCaretAndSuggestion() {
    String text = "rule a {\n  match {\n    probs = Softmx(x);\n  }\n}\n";
    assertThatThrownBy(() -> RuleSet.load(List.of(new Source("my.rules", text))))
        .isInstanceOf(SparsifyException.class)
        .hasMessage(
            """
            my.rules:3:13: error: ONNX has no operator 'Softmx'; did you mean 'Softmax'?
                  probs = Softmx(x);
                          ^~~~~~""");
  }

  @Test
  void keywordsAreNoNames() {
    assertThatThrownBy(() -> RuleSet.load(List.of(new Source("my.rules", "rule a.rewrite {"))))
        .hasMessageContaining("1:8: error: expected a name, found the keyword 'rewrite'");
  }

  @Test
  void reportsAllProblemsOfAFile() {
    String text = "rule a { match { out = Softmx(x); } }\nrule b { match { out = Relu(X); } }\n";
    assertThatThrownBy(() -> RuleSet.load(List.of(new Source("my.rules", text))))
        .hasMessageContaining("my.rules:1:24")
        .hasMessageContaining("my.rules:2:29");
  }
}
