package io.sparsedit.compiler.ort;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Makes ONNX Runtime's error messages short. */
final class OrtMessages {
  /** Wraps the message of a kernel. */
  private static final Pattern NODE =
      Pattern.compile(
          "Non-zero status code returned while running (\\S+) node\\."
              + " Name:'([^']*)' Status Message: (.*)",
          Pattern.DOTALL);

  /** A failed check starts with its place in ONNX Runtime's source. */
  private static final Pattern PLACE =
      Pattern.compile("\\S+\\.(?:h|cc|cpp):\\d+ (?:.*? was false\\. )?(?=\\S)");

  /** The function of ONNX Runtime that comes before what it says. */
  private static final Pattern FUNCTION =
      Pattern.compile("^[^()']*::[^()']*\\([^()]*\\)(?: const)? (?=\\S)");

  private OrtMessages() {}

  /** The first line of the message without its codes and source positions. */
  static String reason(String message) {
    int start = message.indexOf("message: ");
    String text = start < 0 ? message : message.substring(start + "message: ".length());
    String node = "";
    Matcher inNode = NODE.matcher(text);
    if (inNode.find()) {
      node = "node '" + inNode.group(2) + "' (" + inNode.group(1) + "): ";
      text = inNode.group(3);
    }
    String first = text.strip().lines().findFirst().orElse("no reason given");
    return node + FUNCTION.matcher(PLACE.matcher(first).replaceFirst("")).replaceFirst("");
  }
}
