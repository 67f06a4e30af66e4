package io.sparsedit.passes.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.passes.verify.ErrorMetrics;
import io.sparsedit.passes.verify.VerificationReport;
import java.util.List;

/** A {@link VerificationReport} as JSON. */
public final class VerificationJson {
  private VerificationJson() {}

  /** The whole report. */
  public static ObjectNode of(VerificationReport report) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("mode", report.mode().label());
    root.put("note", report.note());
    root.put("tolerance", report.tolerance());
    report.maxError().ifPresent(maxError -> root.put("maxError", maxError));
    root.put("passed", report.failures().isEmpty());
    ArrayNode failures = root.putArray("failures");
    report.failures().forEach(failures::add);
    root.set("everythingKept", outputs(report.everythingKept()));
    root.set("asChosen", outputs(report.asChosen()));
    ArrayNode sites = root.putArray("sites");
    for (VerificationReport.SiteError site : report.sites()) {
      ObjectNode node = sites.addObject();
      node.put("id", site.site());
      node.put("index", site.index());
      node.put("tokens", site.tokens());
      node.put("density", site.density());
      node.put("minDensity", site.minDensity());
      node.put("maxDensity", site.maxDensity());
      node.put("recall", site.recall());
      node.set("everythingKept", error(site.everythingKept()));
      node.set("asChosen", error(site.asChosen()));
    }
    return root;
  }

  private static ArrayNode outputs(List<VerificationReport.OutputError> outputs) {
    ArrayNode array = JsonNodeFactory.instance.arrayNode();
    for (VerificationReport.OutputError output : outputs) {
      array.add(error(output.error()).put("output", output.output()));
    }
    return array;
  }

  private static ObjectNode error(ErrorMetrics error) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("maxError", error.maxError());
    node.put("meanError", error.meanError());
    node.put("normalizedMax", error.normalizedMax());
    node.put("relativeL1", error.relativeL1());
    node.put("cosine", error.cosine());
    if (Double.isFinite(error.psnr())) {
      node.put("psnr", error.psnr());
    } else {
      node.putNull("psnr");
    }
    node.put("finite", error.finite());
    return node;
  }
}
