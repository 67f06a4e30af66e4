package io.sparsedit.compiler.engine;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Optional;

/**
 * What an {@link EngineWorker} tells, as a line of JSON.
 *
 * @param kind what it is
 * @param text the words
 */
record EngineAnswer(Kind kind, String text) {
  /** The layers of a large model are one long string. */
  private static final ObjectMapper JSON =
      new ObjectMapper(
          JsonFactory.builder()
              .streamReadConstraints(
                  StreamReadConstraints.builder().maxStringLength(Integer.MAX_VALUE).build())
              .build());

  /** What a text is. */
  enum Kind {
    /** What is being done now. */
    STAGE,
    /** How far that is. */
    DETAIL,
    /** Something that the user should know. */
    WARNING,
    /** The engine is written; TensorRT's description of its layers. */
    LAYERS,
    /** Why there is no engine. */
    FAILURE,
    /** What of GPU, driver, TensorRT and plugin library is missing. */
    NO_GPU
  }

  /** As one line. */
  String toLine() {
    return JSON.createObjectNode().put("kind", kind.name()).put("text", text).toString();
  }

  /** What {@link #toLine} gave; empty for what native code printed in between. */
  static Optional<EngineAnswer> parse(String line) {
    try {
      JsonNode node = JSON.readTree(line);
      String name = node.path("kind").asText();
      for (Kind kind : Kind.values()) {
        if (kind.name().equals(name) && node.path("text").isTextual()) {
          return Optional.of(new EngineAnswer(kind, node.path("text").asText()));
        }
      }
    } catch (JsonProcessingException e) {
      // No answer.
    }
    return Optional.empty();
  }
}
