package io.sparsedit.passes;

import com.fasterxml.jackson.databind.JsonNode;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.Suggestion;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.DoublePredicate;

/**
 * An object of a plan, read strictly: a value of the wrong type and a key that nobody asked for are
 * usage errors that say where they stand.
 */
final class PlanObject {
  private static final int SHOWN = 60;

  private final JsonNode node;
  private final String where;
  private final Set<String> asked = new LinkedHashSet<>();

  /**
   * An object.
   *
   * @param where what messages call it, the file first
   * @throws SparsifyException if the node is no object
   */
  PlanObject(JsonNode node, String where) {
    this.node = node;
    this.where = where;
    if (!node.isObject()) {
      throw SparsifyException.usage(where + " must be an object {...}, not " + shown(node));
    }
  }

  /** A usage error at this object. */
  SparsifyException error(String message) {
    return SparsifyException.usage(where + ": " + message);
  }

  /** The string of a key, if it is there. */
  Optional<String> text(String key) {
    Optional<JsonNode> value = value(key);
    if (value.isPresent() && !value.get().isTextual()) {
      throw wrong(key, "a string", value.get());
    }
    return value.map(JsonNode::textValue);
  }

  /** True or false of a key, if it is there. */
  Optional<Boolean> flag(String key) {
    Optional<JsonNode> value = value(key);
    if (value.isPresent() && !value.get().isBoolean()) {
      throw wrong(key, "true or false", value.get());
    }
    return value.map(JsonNode::booleanValue);
  }

  /**
   * The number of a key, if it is there.
   *
   * @param wanted what it must be, in words
   * @param isGood whether a number is that
   */
  OptionalDouble number(String key, String wanted, DoublePredicate isGood) {
    Optional<JsonNode> value = value(key);
    if (value.isEmpty()) {
      return OptionalDouble.empty();
    }
    if (!value.get().isNumber() || !isGood.test(value.get().doubleValue())) {
      throw wrong(key, wanted, value.get());
    }
    return OptionalDouble.of(value.get().doubleValue());
  }

  /** The whole number of a key, at least {@code least}, if it is there. */
  OptionalInt integer(String key, int least) {
    Optional<JsonNode> value = value(key);
    if (value.isEmpty()) {
      return OptionalInt.empty();
    }
    if (!value.get().canConvertToInt()
        || !value.get().isIntegralNumber()
        || value.get().intValue() < least) {
      throw wrong(key, "a whole number from " + least + " on", value.get());
    }
    return OptionalInt.of(value.get().intValue());
  }

  /** The object of a key, if it is there. */
  Optional<PlanObject> object(String key) {
    return value(key).map(value -> new PlanObject(value, where + ": '" + key + "'"));
  }

  /** The elements of the array of a key, which must be there. */
  List<JsonNode> array(String key) {
    JsonNode value = value(key).orElseThrow(() -> missing(key, "an array [...]"));
    if (!value.isArray()) {
      throw wrong(key, "an array [...]", value);
    }
    List<JsonNode> elements = new ArrayList<>();
    value.forEach(elements::add);
    return elements;
  }

  /** An error that says that a key must be there. */
  SparsifyException missing(String key, String what) {
    return error("'" + key + "' is missing, " + what);
  }

  /** Refuses keys that nobody asked for. */
  void refuseOthers() {
    for (Map.Entry<String, JsonNode> field : node.properties()) {
      String key = field.getKey();
      if (!asked.contains(key)) {
        throw error(
            "unknown key '"
                + key
                + "'"
                + Suggestion.closest(key, asked)
                    .map(meant -> "; did you mean '" + meant + "'?")
                    .orElse("; the keys are " + String.join(", ", asked)));
      }
    }
  }

  private Optional<JsonNode> value(String key) {
    asked.add(key);
    return Optional.ofNullable(node.get(key));
  }

  private SparsifyException wrong(String key, String wanted, JsonNode found) {
    return error("'" + key + "' must be " + wanted + ", not " + shown(found));
  }

  private static String shown(JsonNode found) {
    String text = found.toString();
    return text.length() <= SHOWN ? text : text.substring(0, SHOWN) + "...";
  }
}
