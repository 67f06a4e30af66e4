package io.sparsedit.passes.report;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.passes.Inspection;
import io.sparsedit.passes.Site;
import io.sparsedit.passes.TokenLayout;
import io.sparsedit.passes.functions.TextPosition;
import io.sparsedit.passes.qk.Prepared;
import io.sparsedit.passes.qk.QkNorm;
import io.sparsedit.passes.qk.Rope;

/** An {@link Inspection} as JSON: what {@code inspect --json} prints. */
public final class InspectionJson {
  private static final int SCHEMA_VERSION = 1;

  private InspectionJson() {}

  /** The whole inspection. */
  public static ObjectNode of(Inspection inspection) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("schemaVersion", SCHEMA_VERSION);
    root.put("model", inspection.file().toString());
    root.put("producer", inspection.producer());
    root.put("opset", inspection.opset());
    root.put("nodes", inspection.nodeCount());
    ArrayNode sites = root.putArray("sites");
    inspection.sites().forEach(site -> sites.add(site(site)));
    root.set("geometry", geometry(inspection));
    ArrayNode open = root.putArray("notUnderstood");
    inspection
        .notUnderstood()
        .forEach(item -> open.addObject().put("node", item.node()).put("reason", item.reason()));
    return root;
  }

  private static ObjectNode site(Site site) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("id", site.name());
    node.put("kind", site.kind().label());
    putDim(node, "batch", site.shape().batch());
    putDim(node, "heads", site.shape().heads());
    putDim(node, "headDim", site.shape().headDim());
    putDim(node, "queryTokens", site.shape().queryTokens());
    putDim(node, "keyTokens", site.shape().keyTokens());
    node.set("tokens", tokens(site.tokens()));
    node.put("mask", site.masked());
    node.put("scale", site.scale());
    node.put("type", site.elementType().shortName());
    node.put("sparsify", site.sparsify());
    site.method()
        .ifPresentOrElse(
            method -> node.put("method", method.method().label()), () -> node.putNull("method"));
    node.put("reason", site.reason());
    node.put("rule", site.rule());
    node.put("node", site.recognition().match().root().toString());
    node.set("query", prepared(site.preparation().query()));
    node.set("key", prepared(site.preparation().key()));
    return node;
  }

  /** What the query tokens are, in order: an array of runs, or null. */
  private static JsonNode tokens(TokenLayout layout) {
    if (!layout.isKnown()) {
      return NullNode.getInstance();
    }
    ArrayNode runs = JsonNodeFactory.instance.arrayNode();
    for (TokenLayout.Part part : layout.parts()) {
      putDim(runs.addObject().put("of", part.video() ? "video" : "text"), "tokens", part.tokens());
    }
    return runs;
  }

  /** Runs of tokens with their norm and rotary embedding, where they have one. */
  private static ArrayNode prepared(Prepared prepared) {
    ArrayNode parts = JsonNodeFactory.instance.arrayNode();
    for (Prepared.Part part : prepared.parts()) {
      ObjectNode node = parts.addObject();
      putDim(node, "tokens", part.tokens());
      part.norm().ifPresent(norm -> putNorm(node.putObject("norm"), norm));
      part.rope().ifPresent(rope -> putRope(node.putObject("rope"), rope));
    }
    return parts;
  }

  private static void putNorm(ObjectNode node, QkNorm norm) {
    node.put("kind", norm.kind().attributeValue());
    node.put("scope", norm.scope().attributeValue());
    node.put("epsilon", norm.guard().epsilon());
    if (norm.guard().guardsRoot()) {
      node.put("rootEpsilon", norm.guard().rootEpsilon());
      node.put("rootFloor", norm.guard().rootFloor());
    }
    node.put("weight", norm.weight());
    node.put("bias", norm.bias());
  }

  private static void putRope(ObjectNode node, Rope rope) {
    node.put("form", rope.form().attributeValue());
    node.put("firstLane", rope.firstLane());
    node.put("lanes", rope.lanes());
    node.put("rotated", rope.tokens().attributeValue());
    putDim(node, "rotatedTokens", rope.rotatedTokens());
    node.put("perHead", rope.perHead());
    node.put("source", rope.source().label());
    ArrayNode inputs = node.putArray("inputs");
    rope.inputs().forEach(inputs::add);
  }

  /** The geometry as {@code bundle.json} and {@code inspect --json} have it; null is not known. */
  public static ObjectNode geometry(Inspection inspection) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    inspection
        .geometry()
        .ifPresentOrElse(
            video -> {
              putDim(node, "frames", video.frames());
              putDim(node, "height", video.height());
              putDim(node, "width", video.width());
            },
            () -> node.putNull("frames").putNull("height").putNull("width"));
    if (inspection.jointTokens().filter(tokens -> !tokens.isKnown()).isPresent()) {
      node.putNull("textTokens");
    } else {
      putDim(node, "textTokens", inspection.jointTokens().map(TokenLayout::text).orElse(Dim.ZERO));
    }
    node.put("textPosition", inspection.jointTokens().map(InspectionJson::position).orElse("none"));
    if (inspection.geometry().isPresent()) {
      node.put("source", inspection.geometrySource());
    } else {
      node.putNull("source");
    }
    return node;
  }

  private static String position(TokenLayout tokens) {
    return tokens.textPosition().map(TextPosition::attributeValue).orElse("unknown");
  }

  /** Puts a number, or a string where the dimension is symbolic. */
  public static void putDim(ObjectNode node, String name, Dim dim) {
    if (dim.constant().isPresent()) {
      node.put(name, dim.constant().getAsLong());
    } else {
      node.put(name, dim.toString());
    }
  }
}
