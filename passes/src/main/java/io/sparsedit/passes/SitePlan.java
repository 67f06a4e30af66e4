package io.sparsedit.passes;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.Suggestion;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The user's choices site by site: {@code plan.json} (docs/inspect.md).
 *
 * @param file where it was read, for messages
 * @param choices by the name of the site
 */
public record SitePlan(String file, Map<String, Choice> choices) {
  private static final int SCHEMA_VERSION = 1;

  private static final ObjectMapper JSON =
      JsonMapper.builder()
          .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  public SitePlan {
    choices = Collections.unmodifiableMap(new LinkedHashMap<>(choices));
  }

  /**
   * What becomes of one site.
   *
   * @param sparsify whether it becomes sparse
   * @param kind the kind that the plan was written for, if it says so
   * @param method the method with its settings, if the plan says so
   * @param reason why it stays dense, or empty
   */
  public record Choice(
      boolean sparsify, Optional<String> kind, Optional<MethodSettings> method, String reason) {}

  // ---- writing ----------------------------------------------------------------------------------

  /** What an inspection found as a plan that leads to the same. */
  public static ObjectNode of(Inspection inspection) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("schemaVersion", SCHEMA_VERSION);
    ArrayNode sites = root.putArray("sites");
    int index = 0;
    for (Site site : inspection.sites()) {
      ObjectNode node = sites.addObject();
      node.put("id", site.name()).put("kind", site.kind().label());
      node.put("sparsify", site.sparsify());
      if (site.method().isPresent()) {
        MethodSettings method = site.method().get();
        node.put("method", method.method().label());
        node.set(
            "settings",
            method.describe(
                EmitSparseSites.planned(index++, site, site.masked(), false, inspection.preset())));
      } else {
        node.put("reason", site.reason());
      }
    }
    return root;
  }

  // ---- reading ----------------------------------------------------------------------------------

  /**
   * Reads a plan.
   *
   * @throws SparsifyException if it cannot be read, or says something that has no meaning
   */
  public static SitePlan read(Path file) {
    JsonNode root;
    try {
      root = JSON.readTree(Files.readAllBytes(file));
    } catch (JsonProcessingException e) {
      throw new SparsifyException(
          SparsifyException.Kind.USAGE,
          file
              + ":"
              + e.getLocation().getLineNr()
              + ":"
              + e.getLocation().getColumnNr()
              + ": not a plan: "
              + e.getOriginalMessage()
              + ". 'inspect --plan' writes one to start from",
          e);
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          file
              + ": the plan cannot be read: "
              + AtomicFile.reason(e)
              + ". 'inspect --plan' writes one",
          e);
    }
    PlanObject plan = new PlanObject(root, file.toString());
    int version =
        plan.integer("schemaVersion", 1)
            .orElseThrow(() -> plan.missing("schemaVersion", "it must be " + SCHEMA_VERSION));
    if (version != SCHEMA_VERSION) {
      throw plan.error(
          "schemaVersion is " + version + ", this version reads " + SCHEMA_VERSION + " only");
    }
    Map<String, Choice> choices = new LinkedHashMap<>();
    List<JsonNode> sites = plan.array("sites");
    plan.refuseOthers();
    for (int i = 0; i < sites.size(); i++) {
      read(sites.get(i), file + ": sites[" + i + "]", choices);
    }
    return new SitePlan(file.toString(), choices);
  }

  private static void read(JsonNode node, String where, Map<String, Choice> choices) {
    String id =
        new PlanObject(node, where)
            .text("id")
            .orElseThrow(
                () -> SparsifyException.usage(where + ": 'id' is missing, the site's name"));
    PlanObject site = new PlanObject(node, where + " (" + id + ")");
    site.text("id");
    Optional<String> kind = site.text("kind");
    boolean sparsify =
        site.flag("sparsify").orElseThrow(() -> site.missing("sparsify", "true or false"));
    Optional<String> method = site.text("method");
    Optional<PlanObject> settings = site.object("settings");
    String reason = site.text("reason").orElse("");
    site.refuseOthers();
    if (method.isEmpty() && settings.isPresent()) {
      throw site.missing("method", "which says what the settings mean: one of " + methods());
    }
    Optional<MethodSettings> chosen = method.map(name -> settings(name, settings, site));
    if (choices.put(id, new Choice(sparsify, kind, chosen, reason)) != null) {
      throw site.error("the site stands in the plan twice");
    }
  }

  private static MethodSettings settings(
      String name, Optional<PlanObject> settings, PlanObject site) {
    Method method =
        Method.of(name)
            .orElseThrow(() -> site.error("there is no method '" + name + "', only " + methods()));
    PlanObject written =
        settings.orElseGet(() -> new PlanObject(JsonNodeFactory.instance.objectNode(), "settings"));
    MethodSettings read = MethodSettings.read(method, written);
    written.refuseOthers();
    return read;
  }

  private static String methods() {
    return String.join(", ", Arrays.stream(Method.values()).map(Method::label).toList());
  }

  // ---- use --------------------------------------------------------------------------------------

  /** What the plan says of a site. */
  Optional<Choice> of(Site site) {
    return Optional.ofNullable(choices.get(site.name()));
  }

  /**
   * Checks that the plan is for the model's sites.
   *
   * @throws SparsifyException if it names one that the model has not, or one of another kind
   */
  void requireKnown(List<Site> sites) {
    List<String> names = sites.stream().map(Site::name).toList();
    for (String id : choices.keySet()) {
      if (!names.contains(id)) {
        throw SparsifyException.usage(
            file
                + ": the model has no site '"
                + id
                + "'"
                + Suggestion.closest(id, names)
                    .map(meant -> "; did you mean '" + meant + "'?")
                    .orElse(": 'inspect' lists its sites"));
      }
    }
    for (Site site : sites) {
      Optional<String> kind = of(site).flatMap(Choice::kind);
      if (kind.isPresent() && !kind.get().equals(site.kind().label())) {
        throw SparsifyException.usage(
            file
                + ": site '"
                + site.name()
                + "' is of kind "
                + site.kind().label()
                + " in this model, not "
                + kind.get()
                + ": the plan was written for another model, or with another --video");
      }
    }
  }

  /** The site as the plan wants it, of which it is known what keeps it from becoming sparse. */
  Site apply(Choice choice, Site site, Optional<String> obstacle, MethodSettings method) {
    if (!choice.sparsify()) {
      return site.leftDense(
          choice.reason().isEmpty() ? obstacle.orElse("left dense by the plan") : choice.reason());
    }
    if (obstacle.isPresent()) {
      throw SparsifyException.usage(
          file
              + ": site '"
              + site.name()
              + "' cannot become sparse: "
              + obstacle.get()
              + ". Set its sparsify to false, or remove what stands against it");
    }
    return site.chosen(choice.method().orElse(method));
  }
}
