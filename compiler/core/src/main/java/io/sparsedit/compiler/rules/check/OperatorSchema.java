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

  /** How many inputs it takes, in words. */
  String inputRange() {
    return count(minInputs, maxInputs, "input");
  }

  /** How many outputs it gives, in words. */
  String outputRange() {
    return count(minOutputs, maxOutputs, "output");
  }

  /** A count from {@code low} to {@code high} in words: "1 input", "2 to 3 inputs". */
  static String count(int low, int high, String noun) {
    String count =
        low == high
            ? Integer.toString(low)
            : high == Integer.MAX_VALUE ? low + " or more" : low + " to " + high;
    return count + " " + noun + (low == high && low == 1 ? "" : "s");
  }
}
