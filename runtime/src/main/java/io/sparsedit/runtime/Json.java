package io.sparsedit.runtime;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A value read from a JSON file; it knows its place, so that errors can name it. */
final class Json {
  /** What a value is not, or a value that is not there; the message names the place. */
  static final class Mismatch extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Mismatch(String place, String problem) {
      super((place.isEmpty() ? "the document" : place) + " " + problem);
    }
  }

  /** Stands for JSON's null. */
  private static final Object NULL = new Object();

  private final String place;
  private final Object value;

  private Json(String place, Object value) {
    this.place = place;
    this.value = value;
  }

  /**
   * Reads a file.
   *
   * @throws IOException if it cannot be read or is not one JSON value
   */
  static Json read(Path file) throws IOException {
    JsonFactory factory =
        JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();
    try (JsonParser parser = factory.createParser(file.toFile())) {
      return read(parser);
    } catch (JsonProcessingException e) {
      // Its own message goes on in a second line, about options of the parser.
      String place =
          e.getLocation() == null
              ? ""
              : ", at line "
                  + e.getLocation().getLineNr()
                  + ", column "
                  + e.getLocation().getColumnNr();
      throw new IOException(e.getOriginalMessage() + place, e);
    }
  }

  /**
   * Reads a text.
   *
   * @throws IOException if it is not one JSON value
   */
  static Json parse(String text) throws IOException {
    try (JsonParser parser = new JsonFactory().createParser(text)) {
      return read(parser);
    }
  }

  private static Json read(JsonParser parser) throws IOException {
    parser.nextToken();
    Object value = readValue(parser);
    if (parser.nextToken() != null) {
      throw new IOException("more than one value, at line " + line(parser));
    }
    return new Json("", value);
  }

  private static Object readValue(JsonParser parser) throws IOException {
    JsonToken token = parser.currentToken();
    if (token == null) {
      throw new IOException("the file is empty");
    }
    return switch (token) {
      case START_OBJECT -> {
        Map<String, Object> members = new LinkedHashMap<>();
        while (parser.nextToken() != JsonToken.END_OBJECT) {
          String name = parser.currentName();
          parser.nextToken();
          members.put(name, readValue(parser));
        }
        yield members;
      }
      case START_ARRAY -> {
        List<Object> elements = new ArrayList<>();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
          elements.add(readValue(parser));
        }
        yield elements;
      }
      case VALUE_STRING -> parser.getText();
      case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> parser.getDecimalValue();
      case VALUE_TRUE -> true;
      case VALUE_FALSE -> false;
      case VALUE_NULL -> NULL;
      case NOT_AVAILABLE, END_OBJECT, END_ARRAY, FIELD_NAME, VALUE_EMBEDDED_OBJECT ->
          throw new IOException("unexpected " + token);
    };
  }

  private static int line(JsonParser parser) {
    return parser.currentLocation().getLineNr();
  }

  /** The member of an object, if it is there and not null. */
  Optional<Json> find(String name) {
    if (!(value instanceof Map<?, ?> members)) {
      throw mismatch("must be an object");
    }
    Object member = members.get(name);
    return member == null || member == NULL
        ? Optional.empty()
        : Optional.of(new Json(place.isEmpty() ? name : place + "." + name, member));
  }

  /** The member of an object. */
  Json get(String name) {
    return find(name).orElseThrow(() -> mismatch("has no \"" + name + "\""));
  }

  /** The elements of an array. */
  List<Json> elements() {
    if (!(value instanceof List<?> elements)) {
      throw mismatch("must be an array");
    }
    List<Json> out = new ArrayList<>();
    for (Object element : elements) {
      out.add(new Json(place + "[" + out.size() + "]", element));
    }
    return out;
  }

  boolean isString() {
    return value instanceof String;
  }

  String string() {
    if (!(value instanceof String string)) {
      throw mismatch("must be a string");
    }
    return string;
  }

  boolean bool() {
    if (!(value instanceof Boolean bool)) {
      throw mismatch("must be true or false");
    }
    return bool;
  }

  double number() {
    if (!(value instanceof BigDecimal number)) {
      throw mismatch("must be a number");
    }
    return number.doubleValue();
  }

  /** A whole number of at least {@code min} that fits an int. */
  int integer(int min) {
    long number = count();
    if (number < min || number > Integer.MAX_VALUE) {
      throw mismatch("must be a whole number of at least " + min);
    }
    return (int) number;
  }

  /** A whole number of at least 0. */
  long count() {
    if (value instanceof BigDecimal number && number.signum() >= 0) {
      try {
        return number.longValueExact();
      } catch (ArithmeticException e) {
        // Not whole, or beyond a long: said below.
      }
    }
    throw mismatch("must be a whole number of at least 0");
  }

  /** What is wrong with this value, with its place. */
  Mismatch mismatch(String problem) {
    return new Mismatch(place, problem);
  }
}
