package io.sparsedit.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The Java that readers copy compiles; {@code ...} in it is theirs to fill in. */
final class DocumentedCodeTest {
  private static final Path ROOT = Path.of("..");
  private static final Pattern MARKDOWN = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL);
  private static final Pattern JAVADOC =
      Pattern.compile("<pre>\\{@code\n(.*?)}</pre>", Pattern.DOTALL);

  /** What stands around a piece of code, whose own variables hide these. */
  private static final String FRAME =
      """
      import io.sparsedit.runtime.*;
      import java.nio.ByteBuffer;
      import java.nio.file.Path;
      import java.util.*;

      final class Code {
        Map<String, Tensor> theirs;
        Map<String, Tensor> inputs;
        Map<String, Tensor> outputs;
        List<Action> actions;
        ByteBuffer encodedText;
        float[] sigma;

        void run() {
      PIECE
        }
      }
      """;

  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "README.md",
        "docs/runtime.md",
        "docs/tensorrt.md",
        "runtime/src/main/java/io/sparsedit/runtime/Model.java"
      })
  void codeCompiles(String file) throws IOException {
    Path source = ROOT.resolve(file);
    assumeTrue(Files.exists(source), "the sources' tree is here");
    List<String> pieces = pieces(Files.readString(source), file.endsWith(".md"));
    assertThat(pieces).isNotEmpty();
    for (String piece : pieces) {
      assertThat(errors(piece.replace("= ...;", "= theirs;"))).as(piece).isEmpty();
    }
  }

  private static List<String> pieces(String text, boolean markdown) {
    Matcher piece = (markdown ? MARKDOWN : JAVADOC).matcher(text);
    return piece
        .results()
        .map(match -> match.group(1).lines())
        .map(lines -> lines.map(line -> markdown ? line : line.replaceFirst("^ \\* ?", "")))
        .map(lines -> lines.collect(Collectors.joining("\n")))
        .toList();
  }

  private String errors(String piece) throws IOException {
    Path source = folder.resolve("Code.java");
    Files.writeString(source, FRAME.replace("PIECE", piece));
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    StringWriter said = new StringWriter();
    boolean good =
        compiler
            .getTask(
                said,
                null,
                null,
                List.of("-d", folder.toString(), "-cp", System.getProperty("java.class.path")),
                null,
                compiler
                    .getStandardFileManager(null, null, null)
                    .getJavaFileObjects(source.toFile()))
            .call();
    return good ? "" : said.toString();
  }
}
