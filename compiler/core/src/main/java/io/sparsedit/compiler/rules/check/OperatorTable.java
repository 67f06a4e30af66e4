package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.check.OperatorSchema.AttributeSchema;
import io.sparsedit.compiler.rules.check.OperatorSchema.AttributeType;
import io.sparsedit.compiler.rules.match.Datum;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** The operators of ONNX's default domain. */
final class OperatorTable {
  private static final Set<String> COMMUTATIVE =
      Set.of(
          "Add",
          "Mul",
          "And",
          "Or",
          "Xor",
          "Equal",
          "Max",
          "Min",
          "Sum",
          "Mean",
          "BitwiseAnd",
          "BitwiseOr",
          "BitwiseXor");

  private final Map<String, OperatorSchema> operators;

  private OperatorTable(Map<String, OperatorSchema> operators) {
    this.operators = operators;
  }

  /** Reads the table that comes with the compiler. */
  static OperatorTable load() {
    Map<String, OperatorSchema> operators = new LinkedHashMap<>();
    try (InputStream in = OperatorTable.class.getResourceAsStream("operators.txt")) {
      if (in == null) {
        throw new IllegalStateException("operators.txt is missing");
      }
      BufferedReader reader = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
      reader
          .lines()
          .filter(l -> !l.startsWith("#"))
          .map(OperatorTable::parse)
          .forEach(op -> operators.put(op.name(), op));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return new OperatorTable(operators);
  }

  Optional<OperatorSchema> find(String name) {
    return Optional.ofNullable(operators.get(name));
  }

  Set<String> names() {
    return operators.keySet();
  }

  static boolean isCommutative(String operator) {
    return COMMUTATIVE.contains(operator);
  }

  private static OperatorSchema parse(String line) {
    String[] words = line.split(" ");
    Map<String, AttributeSchema> attributes = new LinkedHashMap<>();
    for (int i = 3; i < words.length; i++) {
      int colon = words[i].indexOf(':');
      String rest = words[i].substring(colon + 1);
      int equals = rest.indexOf('=');
      boolean required = rest.endsWith("!");
      String typeName =
          equals >= 0
              ? rest.substring(0, equals)
              : required ? rest.substring(0, rest.length() - 1) : rest;
      AttributeType type = AttributeType.valueOf(typeName.toUpperCase(Locale.ROOT));
      Optional<Datum> fallback =
          equals >= 0 ? Optional.of(datum(type, rest.substring(equals + 1))) : Optional.empty();
      attributes.put(words[i].substring(0, colon), new AttributeSchema(type, required, fallback));
    }
    return new OperatorSchema(
        words[0], low(words[1]), high(words[1]), low(words[2]), high(words[2]), attributes);
  }

  private static int low(String range) {
    return Integer.parseInt(range.substring(0, range.indexOf("..")));
  }

  private static int high(String range) {
    String text = range.substring(range.indexOf("..") + 2);
    return text.equals("*") ? Integer.MAX_VALUE : Integer.parseInt(text);
  }

  private static Datum datum(AttributeType type, String text) {
    return switch (type) {
      case INT -> Datum.of(Long.parseLong(text));
      case FLOAT -> Datum.of(Double.parseDouble(text));
      case INTS -> list(AttributeType.INT, text);
      case FLOATS -> list(AttributeType.FLOAT, text);
      case STRINGS -> list(AttributeType.STRING, text);
      case STRING, TENSOR, TENSORS, SPARSE_TENSOR, GRAPH, TYPE ->
          Datum.of(text.substring(1, text.length() - 1));
    };
  }

  private static Datum list(AttributeType element, String text) {
    List<Datum> items = new ArrayList<>();
    String inner = text.substring(1, text.length() - 1);
    if (!inner.isEmpty()) {
      for (String item : inner.split(",")) {
        items.add(datum(element, item));
      }
    }
    return new Datum.Items(items);
  }
}
