package io.sparsedit.compiler.ir;

import java.util.List;

/** The value of a node attribute. */
public sealed interface Attribute {
  /** INT. */
  record IntValue(long value) implements Attribute {}

  /** FLOAT. */
  record FloatValue(float value) implements Attribute {}

  /** STRING that is valid UTF-8; any other is an {@link Opaque}. */
  record StringValue(String value) implements Attribute {}

  /** TENSOR. */
  record TensorValue(Tensor value) implements Attribute {}

  /** GRAPH: the body of an If, Loop or Scan. */
  record GraphValue(Graph value) implements Attribute {}

  /** INTS. */
  record IntList(List<Long> values) implements Attribute {
    public IntList {
      values = List.copyOf(values);
    }
  }

  /** FLOATS. */
  record FloatList(List<Float> values) implements Attribute {
    public FloatList {
      values = List.copyOf(values);
    }
  }

  /** STRINGS, all valid UTF-8. */
  record StringList(List<String> values) implements Attribute {
    public StringList {
      values = List.copyOf(values);
    }
  }

  /** GRAPHS. */
  record GraphList(List<Graph> values) implements Attribute {
    public GraphList {
      values = List.copyOf(values);
    }
  }

  /**
   * Inside a function body: the attribute of the calling node with the given name.
   *
   * @param attribute name of the function's attribute
   * @param typeCode type of the attribute, as in {@code AttributeProto.AttributeType}
   */
  record Reference(String attribute, int typeCode) implements Attribute {}

  /** Any other kind (sparse tensors, types, tensor lists), kept encoded. */
  record Opaque(Extras encoded) implements Attribute {}
}
