package io.sparsedit.compiler.ir;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A model-local function: an operator defined by a graph over other operators.
 *
 * <p>The body's inputs and outputs are the function's, without types. Attributes of body nodes may
 * be {@link Attribute.Reference}s to the function's attributes.
 */
public final class Function {
  private final String domain;
  private final String name;
  private final String overload;
  private final Graph body;
  private final List<String> attributeNames = new ArrayList<>();
  private final Map<String, Attribute> attributeDefaults = new LinkedHashMap<>();
  private final Map<String, Long> opsets = new LinkedHashMap<>();
  private final Map<String, String> metadata = new LinkedHashMap<>();
  private String docString = "";
  private Extras extras = Extras.NONE;

  /** A function with an empty body. */
  public Function(String domain, String name, String overload) {
    this.domain = domain;
    this.name = name;
    this.overload = overload;
    this.body = Graph.create(name);
  }

  /** The domain. */
  public String domain() {
    return domain;
  }

  /** The name, which is the op type of its calls. */
  public String name() {
    return name;
  }

  /** The overload; mostly empty. */
  public String overload() {
    return overload;
  }

  /** The body. */
  public Graph body() {
    return body;
  }

  /** Attributes that every call must give; modifiable. */
  public List<String> attributeNames() {
    return attributeNames;
  }

  /** Attributes with a default; modifiable. */
  public Map<String, Attribute> attributeDefaults() {
    return attributeDefaults;
  }

  /** Operator-set versions of the body by domain (empty: default domain); modifiable. */
  public Map<String, Long> opsets() {
    return opsets;
  }

  /** {@code metadata_props}; modifiable. */
  public Map<String, String> metadata() {
    return metadata;
  }

  /** Documentation. */
  public String docString() {
    return docString;
  }

  /** Sets the documentation. */
  public void setDocString(String newDocString) {
    docString = newDocString;
  }

  /** Fields that this representation does not model. */
  public Extras extras() {
    return extras;
  }

  /** Sets the fields that this representation does not model. */
  public void setExtras(Extras newExtras) {
    extras = newExtras;
  }
}
