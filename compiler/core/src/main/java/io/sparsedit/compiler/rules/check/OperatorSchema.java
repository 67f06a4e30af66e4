package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.match.Datum;
import java.util.Map;
import java.util.Optional;

/**
 * What an operator takes and gives, over all its versions from opset 16 on.
 *
 * @param maxInputs {@link Integer#MAX_VALUE} for any number
 * @param maxOutputs {@link Integer#MAX_VALUE} for any number
 */
record OperatorSchema(
    String name,
    int minInputs,
    int maxInputs,
    int minOutputs,
    int maxOutputs,
    Map<String, AttributeSchema> attributes) {

  /** Types of attributes. */
  enum AttributeType {
    INT,
    FLOAT,
    STRING,
    INTS,
    FLOATS,
    STRINGS,
    TENSOR,
    TENSORS,
    SPARSE_TENSOR,
    GRAPH,
    TYPE;

    /** Whether a literal can stand for it. */
    boolean accepts(Datum datum) {
      return switch (this) {
        case INT -> datum instanceof Datum.Int || datum instanceof Datum.Type;
        case FLOAT -> datum.number().isPresent();
        case STRING -> datum instanceof Datum.Text;
        case INTS ->
            datum instanceof Datum.Items items && items.values().stream().allMatch(INT::accepts);
        case FLOATS ->
            datum instanceof Datum.Items items && items.values().stream().allMatch(FLOAT::accepts);
        case STRINGS ->
            datum instanceof Datum.Items items && items.values().stream().allMatch(STRING::accepts);
        case TENSOR, TENSORS, SPARSE_TENSOR, GRAPH, TYPE -> false;
      };
    }

    /** What a captured attribute of this type is in an expression. */
    Kind kind() {
      return switch (this) {
        case INT, FLOAT -> Kind.NUMBER;
        case STRING -> Kind.TEXT;
        case INTS, FLOATS, STRINGS -> Kind.LIST;
        case TENSOR, TENSORS, SPARSE_TENSOR, GRAPH, TYPE -> Kind.ANY;
      };
    }
  }

  /** An attribute. */
  record AttributeSchema(AttributeType type, boolean required, Optional<Datum> fallback) {}
}
