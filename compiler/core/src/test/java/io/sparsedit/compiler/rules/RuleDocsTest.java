package io.sparsedit.compiler.rules;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.TestData;
import io.sparsedit.compiler.rules.match.Externs;
import io.sparsedit.compiler.rules.syntax.Source;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The examples of docs/rules.md are rules. */
class RuleDocsTest {
  static List<String> examples() throws IOException {
    String text = Files.readString(TestData.root().resolveSibling("docs").resolve("rules.md"));
    Matcher matcher = Pattern.compile("```rules\n(.*?)```", Pattern.DOTALL).matcher(text);
    List<String> examples = new ArrayList<>();
    while (matcher.find()) {
      examples.add(matcher.group(1));
    }
    assertThat(examples).hasSizeGreaterThan(5);
    return examples;
  }

  @ParameterizedTest
  @MethodSource("examples")
  void isARule(String example) {
    Externs externs = Externs.builder().predicate("uniform", args -> Optional.empty()).build();
    assertThat(RuleSet.load(List.of(new Source("docs/rules.md", example)), externs).rules())
        .hasSize(1);
  }
}
