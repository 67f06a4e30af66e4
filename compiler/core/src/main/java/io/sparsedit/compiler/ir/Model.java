package io.sparsedit.compiler.ir;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** A model: the main graph, its model-local functions, operator sets and metadata. */
public final class Model {
  private final Graph graph;
  private final List<Function> functions = new ArrayList<>();
  private final Map<String, Long> opsets = new LinkedHashMap<>();
  private final Map<String, String> metadata = new LinkedHashMap<>();
  private long irVersion;
  private String producerName = "";
  private String producerVersion = "";
  private String docString = "";
  private Extras extras = Extras.NONE;
  private @Nullable Path source;

  /** A model around the graph. */
  public Model(Graph graph, long irVersion) {
    this.graph = graph;
    this.irVersion = irVersion;
  }

  /** The main graph. */
  public Graph graph() {
    return graph;
  }

  /** Model-local functions; modifiable. */
  public List<Function> functions() {
    return functions;
  }

  /** The function that a node calls, if it calls one. */
  public Optional<Function> functionOf(Node node) {
    return functions.stream()
        .filter(
            f ->
                f.domain().equals(node.domain())
                    && f.name().equals(node.opType())
                    && f.overload().equals(node.overload()))
        .findFirst();
  }

  /** Operator-set versions by domain (empty: the default domain); modifiable. */
  public Map<String, Long> opsets() {
    return opsets;
  }

  /** Version of the default operator set; 0 if the model imports none. */
  public long opset() {
    return opsets.getOrDefault("", 0L);
  }

  /** {@code metadata_props}; modifiable. */
  public Map<String, String> metadata() {
    return metadata;
  }

  /** Version of the ONNX file format. */
  public long irVersion() {
    return irVersion;
  }

  /** Sets the version of the ONNX file format. */
  public void setIrVersion(long version) {
    irVersion = version;
  }

  /** Which tool wrote the model. */
  public String producerName() {
    return producerName;
  }

  /** Sets the tool's name. */
  public void setProducerName(String value) {
    producerName = value;
  }

  /** The tool's version. */
  public String producerVersion() {
    return producerVersion;
  }

  /** Sets the tool's version. */
  public void setProducerVersion(String value) {
    producerVersion = value;
  }

  /** Documentation. */
  public String docString() {
    return docString;
  }

  /** Sets the documentation. */
  public void setDocString(String value) {
    docString = value;
  }

  /** Fields that this representation does not model. */
  public Extras extras() {
    return extras;
  }

  /** Sets the fields that this representation does not model. */
  public void setExtras(Extras newExtras) {
    extras = newExtras;
  }

  /** The file the model was read from; its external data is relative to this file's folder. */
  public Optional<Path> source() {
    return Optional.ofNullable(source);
  }

  /** Sets the file that external data is relative to. */
  public void setSource(Path file) {
    source = file;
  }
}
