package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Names for sites: the path of the module that the exporter was in, where it left one. Only for
 * people to read; nothing is recognised by it.
 *
 * <pre>
 *   TorchScript   node name  /blocks.0/attn1/MatMul_1                      blocks.0.attn1
 *   dynamo        metadata   namespace = ": Wan/blocks.0: Block/blocks.0.attn1: Attention/sdpa: aten"
 *                                                                          blocks.0.attn1
 *   neither                                                                site3
 * </pre>
 */
final class SiteNames {
  private static final String NAMESPACE = "namespace";

  /** How PyTorch spells a module that was assigned past {@code Module.__setattr__}. */
  private static final Pattern PYTHON_PATH =
      Pattern.compile("__dict__\\['_modules'\\]\\['([^']+)'\\]");

  private final Map<String, Integer> given = new HashMap<>();

  /** The name of the site with this id, whose exporter's nodes end in {@code root}. */
  String nameOf(int id, Node root) {
    String name = fromMetadata(root).or(() -> fromNodeName(root)).orElse("site" + id);
    int count = given.merge(name, 1, Integer::sum);
    return count == 1 ? name : name + "#" + count;
  }

  private static Optional<String> fromMetadata(Node root) {
    String namespace = root.metadata().getOrDefault(NAMESPACE, "");
    List<String> scopes = List.of(namespace.split("/", -1));
    // The last scope is the operator itself.
    if (scopes.size() < 2) {
      return Optional.empty();
    }
    String module = scopes.get(scopes.size() - 2);
    int colon = module.indexOf(':');
    String name = colon < 0 ? module : module.substring(0, colon);
    return Optional.of(PYTHON_PATH.matcher(name.strip()).replaceAll("$1"))
        .filter(text -> !text.isEmpty());
  }

  private static Optional<String> fromNodeName(Node root) {
    String name = root.name();
    int last = name.lastIndexOf('/');
    if (!name.startsWith("/") || last < 1) {
      return Optional.empty();
    }
    return Optional.of(name.substring(1, last).replace('/', '.'));
  }
}
