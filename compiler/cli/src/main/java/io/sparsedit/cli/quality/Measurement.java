package io.sparsedit.cli.quality;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.runtime.sampling.FrameQuality;
import java.util.ArrayList;
import java.util.List;

/**
 * One sample by one candidate, against the dense run from the same noise.
 *
 * @param sample the sample's label
 * @param psnr mean over frames in dB; infinite where all is equal
 * @param ssim mean over frames; NaN where frames are smaller than its window, or no frames
 * @param relativeL1 sum of absolute differences of the latents over sum of absolute latents
 * @param density mean over sparse steps, sites, and heads; 1 if no step was sparse, NaN where plans
 *     were not measured
 * @param totalDensity the same over all steps
 * @param recall mean over sparse steps, sites, and heads; NaN as the density
 * @param seconds the time that the model took
 * @param denseSteps how many steps passed before the first sparse one
 * @param actions what the sites did at each step
 * @param stepRecall recall of each step, mean over sites and heads
 * @param stepDensity density of each step, mean over sites and heads
 * @param sites density and recall of each head of each site, mean over sparse steps
 */
record Measurement(
    String sample,
    double psnr,
    double ssim,
    double relativeL1,
    double density,
    double totalDensity,
    double recall,
    double seconds,
    int denseSteps,
    List<String> actions,
    List<Double> stepDensity,
    List<Double> stepRecall,
    List<SiteMeasurement> sites) {
  Measurement {
    actions = List.copyOf(actions);
    stepDensity = List.copyOf(stepDensity);
    stepRecall = List.copyOf(stepRecall);
    sites = List.copyOf(sites);
  }

  /**
   * A site's heads.
   *
   * @param id the site's name
   * @param density of each head
   * @param recall of each head
   */
  record SiteMeasurement(String id, List<Double> density, List<Double> recall) {
    SiteMeasurement {
      density = List.copyOf(density);
      recall = List.copyOf(recall);
    }
  }

  /** A sample of which only the outcome is known. */
  static Measurement ofUnmeasuredPlans(
      String sample,
      FrameQuality quality,
      double relativeL1,
      double seconds,
      int denseSteps,
      List<String> actions) {
    return new Measurement(
        sample,
        quality.psnr(),
        quality.ssim(),
        relativeL1,
        Double.NaN,
        Double.NaN,
        Double.NaN,
        seconds,
        denseSteps,
        actions,
        List.of(),
        List.of(),
        List.of());
  }

  ObjectNode toJson() {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("sample", sample);
    putNumber(node, "psnr", psnr);
    putNumber(node, "ssim", ssim);
    node.put("relativeL1", rounded(relativeL1));
    putNumber(node, "density", density);
    putNumber(node, "totalDensity", totalDensity);
    putNumber(node, "recall", recall);
    node.put("seconds", rounded(seconds));
    node.put("denseSteps", denseSteps);
    actions.forEach(node.putArray("actions")::add);
    putArray(node, "stepDensity", stepDensity);
    putArray(node, "stepRecall", stepRecall);
    ArrayNode list = node.putArray("sites");
    for (SiteMeasurement site : sites) {
      ObjectNode one = list.addObject().put("id", site.id());
      putArray(one, "density", site.density());
      putArray(one, "recall", site.recall());
    }
    return node;
  }

  static Measurement fromJson(JsonNode node) {
    List<String> actions = new ArrayList<>();
    node.path("actions").forEach(action -> actions.add(action.asText()));
    List<SiteMeasurement> sites = new ArrayList<>();
    for (JsonNode site : node.path("sites")) {
      sites.add(
          new SiteMeasurement(
              site.path("id").asText(), array(site, "density"), array(site, "recall")));
    }
    return new Measurement(
        node.path("sample").asText(),
        node.path("psnr").isNumber() ? node.path("psnr").asDouble() : Double.POSITIVE_INFINITY,
        node.path("ssim").asDouble(Double.NaN),
        node.path("relativeL1").asDouble(),
        node.path("density").asDouble(Double.NaN),
        node.path("totalDensity").asDouble(Double.NaN),
        node.path("recall").asDouble(Double.NaN),
        node.path("seconds").asDouble(),
        node.path("denseSteps").asInt(),
        actions,
        array(node, "stepDensity"),
        array(node, "stepRecall"),
        sites);
  }

  private static List<Double> array(JsonNode node, String name) {
    List<Double> values = new ArrayList<>();
    node.path(name).forEach(value -> values.add(value.asDouble()));
    return values;
  }

  private static void putArray(ObjectNode node, String name, List<Double> values) {
    ArrayNode array = node.putArray(name);
    values.forEach(value -> array.add(rounded(value)));
  }

  /** JSON has neither infinity nor NaN: null stands for both. */
  static void putNumber(ObjectNode node, String name, double value) {
    if (Double.isFinite(value)) {
      node.put(name, rounded(value));
    } else {
      node.putNull(name);
    }
  }

  /** Six significant digits. */
  private static double rounded(double value) {
    if (value == 0 || !Double.isFinite(value)) {
      return value;
    }
    return new java.math.BigDecimal(value).round(new java.math.MathContext(6)).doubleValue();
  }
}
