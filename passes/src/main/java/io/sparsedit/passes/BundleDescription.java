package io.sparsedit.passes;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.bundle.BundleFolder;
import io.sparsedit.compiler.bundle.Sha256;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.compiler.pass.PassRecord;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeTable;
import io.sparsedit.passes.functions.SparseOps;
import io.sparsedit.passes.functions.SvgBand;
import io.sparsedit.passes.report.InspectionJson;
import io.sparsedit.passes.report.ReportHtml;
import io.sparsedit.passes.report.VerificationJson;
import io.sparsedit.passes.verify.TableLengths;
import io.sparsedit.passes.verify.VerificationReport;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/** Writes what a bundle says of itself: {@code bundle.json} (docs/bundle.md) and the reports. */
final class BundleDescription {
  /** The portable model. */
  static final String MODEL = "model.onnx";

  private static final String REPORT = "report.json";
  private static final String REPORT_PAGE = "report.html";

  /** The files of every bundle. */
  static final Set<String> FILES = Set.of(MODEL, BundleFolder.DESCRIPTION, REPORT, REPORT_PAGE);

  private final Compilation compilation;
  private final Inspection inspection;
  private final VerificationReport verification;
  private final List<WeightFiles.Placed> weights;

  BundleDescription(
      Compilation compilation,
      Inspection inspection,
      VerificationReport verification,
      List<WeightFiles.Placed> weights) {
    this.compilation = compilation;
    this.inspection = inspection;
    this.verification = verification;
    this.weights = weights;
  }

  /** Writes the descriptions and completes the bundle; the names of its files. */
  List<String> write(BundleFolder bundle, String version) {
    ObjectNode report = report(version);
    bundle.writeJson(REPORT, report);
    bundle.writeText(REPORT_PAGE, ReportHtml.of(report));
    ObjectNode description = description(bundle.resolve(MODEL));
    return bundle.commit(version, description);
  }

  private ObjectNode description(Path written) {
    Model model = compilation.model();
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.putObject("source")
        .put("file", String.valueOf(compilation.file().getFileName()))
        .put("sha256", Sha256.of(compilation.file()));
    root.putObject("model")
        .put("file", MODEL)
        .put("sha256", Sha256.of(written))
        .put("irVersion", model.irVersion())
        .put("opset", model.opset());
    ArrayNode files = root.putArray("weights");
    for (WeightFiles.Placed file : weights) {
      files
          .addObject()
          .put("file", file.location())
          .put("bytes", file.bytes())
          .put("mode", file.linked() ? "link" : "copy");
    }
    root.set("geometry", InspectionJson.geometry(inspection));
    root.set("method", method());
    sites(root);
    root.putObject("action")
        .put("input", SparseOps.ACTION)
        .put("sites", compilation.emitted().size());
    state(root);
    io(root);
    putSchedule(root);
    return root;
  }

  /** The default number of steps and the schedule of the sites that have none of their own. */
  private void putSchedule(ObjectNode root) {
    ObjectNode schedule = root.putObject("schedule");
    schedule
        .put("preset", compilation.preset().label())
        .put("steps", compilation.options().schedule().steps(compilation.preset()));
    schedule().writeTo(schedule);
  }

  /** The schedule of the sites that have none of their own. */
  private SiteSchedule schedule() {
    return compilation.schedule(compilation.emitted().get(0).method());
  }

  /** The method and settings that all sites share, or what they differ in, as "mixed". */
  private ObjectNode method() {
    List<ObjectNode> methods =
        compilation.emitted().stream().map(BundleDescription::method).distinct().toList();
    if (methods.size() == 1) {
      return methods.get(0);
    }
    List<JsonNode> names = methods.stream().map(method -> method.path("name")).distinct().toList();
    ObjectNode method = JsonNodeFactory.instance.objectNode();
    method.put("name", names.size() == 1 ? names.get(0).asText() : "mixed");
    method.putObject("settings");
    return method;
  }

  private static ObjectNode method(EmittedSite site) {
    ObjectNode method = JsonNodeFactory.instance.objectNode();
    method.put("name", site.method().method().label());
    method.set("settings", site.method().describe(site.planned()));
    return method;
  }

  private void sites(ObjectNode root) {
    ArrayNode sparse = root.putArray("sites");
    for (EmittedSite emitted : compilation.emitted()) {
      Site site = emitted.site();
      ObjectNode node = sparse.addObject();
      node.put("index", emitted.index()).put("id", site.name()).put("kind", site.kind().label());
      InspectionJson.putDim(node, "heads", site.shape().heads());
      InspectionJson.putDim(node, "headDim", site.shape().headDim());
      InspectionJson.putDim(node, "tokens", site.shape().queryTokens());
      node.put("scale", site.scale());
      node.set("method", method(emitted));
      SvgBands.of(emitted, compilation.geometry()).ifPresent(bands -> bands(node, bands));
      node.put("planInState", emitted.planned().keepsPlan());
      SiteSchedule own = compilation.schedule(emitted.method());
      if (!own.equals(schedule())) {
        own.writeTo(node.putObject("schedule"));
      }
    }
    ArrayNode dense = root.putArray("denseSites");
    for (Site site : compilation.sites()) {
      if (!site.sparsify()) {
        dense
            .addObject()
            .put("id", site.name())
            .put("kind", site.kind().label())
            .put("reason", site.reason());
      }
    }
  }

  private static void bands(ObjectNode site, SvgBands bands) {
    ObjectNode node = site.putObject("bands");
    node.set("spatial", band(bands.spatial()));
    node.set("temporal", band(bands.temporal()));
  }

  private static ObjectNode band(SvgBand band) {
    return JsonNodeFactory.instance
        .objectNode()
        .put("blocks", band.blocks())
        .put("density", band.density());
  }

  private void state(ObjectNode root) {
    ArrayNode list = root.putArray("state");
    for (EmittedSite site : compilation.emitted()) {
      for (StateBinding binding : site.state()) {
        ObjectNode node = list.addObject();
        node.put("site", site.index());
        node.put("name", binding.tensor().name());
        node.put("input", binding.input());
        node.put("output", binding.output());
        node.put("type", binding.tensor().type().shortName());
        putDims(node, binding.tensor().dims());
      }
    }
  }

  private static void putDims(ObjectNode node, List<DeclaredDim> dims) {
    ArrayNode array = node.putArray("dims");
    for (DeclaredDim dim : dims) {
      if (dim instanceof DeclaredDim.Fixed fixed) {
        array.add(fixed.size());
      } else if (dim instanceof DeclaredDim.Named named) {
        array.add(named.name());
      } else {
        array.add("?");
      }
    }
  }

  /** The model's own inputs and outputs. */
  private void io(ObjectNode root) {
    Set<String> added = new TreeSet<>(Set.of(SparseOps.ACTION));
    for (EmittedSite site : compilation.emitted()) {
      for (StateBinding binding : site.state()) {
        added.add(binding.input());
        added.add(binding.output());
      }
    }
    ShapeTable facts = compilation.facts();
    Set<String> sizes = new TreeSet<>();
    ArrayNode inputs = root.putArray("inputs");
    for (Value input : compilation.model().graph().inputs()) {
      if (!added.contains(input.name()) && input.constant().isEmpty()) {
        facts.shape(input).ifPresent(dims -> dims.forEach(dim -> sizes.addAll(dim.symbols())));
        ObjectNode described = tensor(input, facts, sizes);
        TableLengths.of(input, facts).ifPresent(length -> described.put("tableLength", length));
        inputs.add(described);
      }
    }
    ArrayNode outputs = root.putArray("outputs");
    for (Value output : compilation.model().graph().outputs()) {
      if (!added.contains(output.name())) {
        outputs.add(tensor(output, facts, sizes));
      }
    }
  }

  /**
   * A tensor.
   *
   * @param sizes the names in inputs' dimensions
   */
  private static ObjectNode tensor(Value value, ShapeTable facts, Set<String> sizes) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("name", value.name());
    DataType type = facts.elementType(value);
    node.put("type", type.shortName());
    if (value.type().orElse(null) instanceof ValueType.TensorType declared
        && declared.dims().isPresent()) {
      putDims(node, meaningful(declared.dims().get(), facts.shape(value), sizes));
    } else {
      ArrayNode dims = node.putArray("dims");
      Optional<List<Dim>> shape = facts.shape(value);
      shape.ifPresent(
          known ->
              known.forEach(
                  dim -> {
                    if (dim.constant().isPresent()) {
                      dims.add(dim.constant().getAsLong());
                    } else {
                      dims.add(dim.toString());
                    }
                  }));
    }
    return node;
  }

  /**
   * The dimensions as declared. Where an exporter made up a name for what is a number or follows
   * from the inputs' sizes, that.
   */
  private static List<DeclaredDim> meaningful(
      List<DeclaredDim> declared, Optional<List<Dim>> shape, Set<String> sizes) {
    List<DeclaredDim> dims = new ArrayList<>(declared);
    if (shape.isPresent() && shape.get().size() == declared.size()) {
      for (int axis = 0; axis < declared.size(); axis++) {
        Dim known = shape.get().get(axis);
        boolean follows = known.isNamed() && sizes.containsAll(known.symbols());
        if (known.isConstant() || (follows && !saysSize(declared.get(axis), sizes))) {
          dims.set(axis, DeclaredDims.of(known));
        }
      }
    }
    return dims;
  }

  /** Whether a declared dimension is a number or an expression over the inputs' sizes. */
  private static boolean saysSize(DeclaredDim dim, Set<String> sizes) {
    return dim instanceof DeclaredDim.Fixed
        || (dim instanceof DeclaredDim.Named named
            && sizes.containsAll(Dim.parse(named.name()).symbols()));
  }

  private ObjectNode report(String version) {
    ObjectNode report = InspectionJson.of(inspection);
    report.put("compiler", version);
    report.set("method", method());
    putSchedule(report);
    report.set("verification", VerificationJson.of(verification));
    Map<String, Integer> after = Pipeline.operators(compilation.model());
    ArrayNode operators = report.putArray("operators");
    Set<String> names = new TreeSet<>(inspection.operators().keySet());
    names.addAll(after.keySet());
    for (String name : names) {
      operators
          .addObject()
          .put("operator", name)
          .put("before", inspection.operators().getOrDefault(name, 0))
          .put("after", after.getOrDefault(name, 0));
    }
    ArrayNode passes = report.putArray("passes");
    for (PassRecord record : inspection.passes()) {
      passes
          .addObject()
          .put("pass", record.pass())
          .put("changes", record.changes())
          .put("nodesBefore", record.nodesBefore())
          .put("nodesAfter", record.nodesAfter())
          .put("millis", record.millis());
    }
    return report;
  }
}
