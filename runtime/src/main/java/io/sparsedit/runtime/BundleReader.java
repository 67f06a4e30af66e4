package io.sparsedit.runtime;

import java.io.IOException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/** Reads {@code bundle.json} (docs/bundle.md) and checks that it makes sense in itself. */
final class BundleReader {
  /** What {@code bundle.json} says. */
  record Content(
      String compiler,
      String modelFile,
      String modelSha256,
      List<Bundle.WeightFile> weights,
      List<Bundle.EngineFile> engines,
      List<Bundle.EngineFile> denseEngines,
      String method,
      List<Bundle.Site> sites,
      Optional<String> actionInput,
      List<Bundle.StateTensor> state,
      Map<String, TensorType> inputs,
      Map<String, Long> tableLengths,
      Map<String, TensorType> outputs,
      int steps,
      Rule rule) {}

  private BundleReader() {}

  /**
   * Reads the description of a bundle.
   *
   * @throws BundleException if the file is not one that this runtime understands
   */
  static Content read(Path file) {
    try {
      Json root = Json.read(file);
      checkVersion(file, root);
      Content content = content(root);
      check(root, content);
      return content;
    } catch (IOException | Json.Mismatch | ScheduleException e) {
      throw new BundleException(
          BundleException.Reason.MALFORMED,
          file + ": " + e.getMessage() + "; compile the bundle again",
          e);
    }
  }

  private static void checkVersion(Path file, Json root) {
    int version = root.get("schemaVersion").integer(1);
    if (version > Bundle.SCHEMA_VERSION) {
      throw new BundleException(
          BundleException.Reason.UNSUPPORTED_VERSION,
          file
              + " has schemaVersion "
              + version
              + " and was written by "
              + root.find("compiler").map(BundleReader::compiler).orElse("a newer compiler")
              + "; this runtime reads versions up to "
              + Bundle.SCHEMA_VERSION
              + ": update the runtime, or compile again with its own compiler");
    }
  }

  private static Content content(Json root) {
    String method = root.get("method").get("name").string();
    Json schedule = root.get("schedule");
    Rule rule = rule(schedule);
    Set<Integer> withPlan = sitesWithPlan(root.get("state"));
    List<Bundle.Site> sites = new ArrayList<>();
    for (Json site : root.get("sites").elements()) {
      if (site.get("index").integer(0) != sites.size()) {
        throw site.get("index").mismatch("must be " + sites.size() + ": sites are listed in order");
      }
      sites.add(
          new Bundle.Site(
              sites.size(),
              site.get("id").string(),
              site.get("kind").string(),
              dim(site.get("heads")),
              dim(site.get("headDim")),
              dim(site.get("tokens")),
              site.find("method").map(own -> own.get("name").string()).orElse(method),
              site.find("schedule").map(BundleReader::rule).orElse(rule),
              site.find("planInState")
                  .map(Json::bool)
                  .orElse(withPlan.contains(sites.size()) || reusesPlans(rule))));
    }
    return new Content(
        compiler(root.get("compiler")),
        relativeFile(root.get("model").get("file")),
        root.get("model").get("sha256").string(),
        root.get("weights").elements().stream().map(BundleReader::weightFile).toList(),
        engineFiles(root, "engines", false),
        engineFiles(root, "denseEngines", true),
        method,
        List.copyOf(sites),
        root.find("action").map(action -> action(action, sites.size())),
        root.get("state").elements().stream()
            .map(tensor -> stateTensor(tensor, sites.size()))
            .toList(),
        tensors(root.get("inputs")),
        tableLengths(root.get("inputs")),
        tensors(root.get("outputs")),
        Schedule.checkSteps(schedule.get("steps").integer(1)),
        rule);
  }

  /** What version 1 told of plans in state: the sites that have a tensor of one. */
  private static Set<Integer> sitesWithPlan(Json state) {
    Set<Integer> sites = new HashSet<>();
    for (Json tensor : state.elements()) {
      if (tensor.get("name").string().equals("keep")) {
        sites.add(tensor.get("site").integer(0));
      }
    }
    return sites;
  }

  private static boolean reusesPlans(Rule rule) {
    return rule instanceof Rule.Searches
        || (rule instanceof Rule.Periodic periodic && periodic.replanInterval() > 1);
  }

  private static void check(Json root, Content content) {
    if (content.actionInput().isEmpty() && !content.sites().isEmpty()) {
      throw root.mismatch("has sites but no \"action\"");
    }
    Set<String> inputs = new HashSet<>(content.inputs().keySet());
    Set<String> outputs = new HashSet<>(content.outputs().keySet());
    content
        .actionInput()
        .filter(name -> !inputs.add(name))
        .ifPresent(
            name -> {
              throw root.get("action").mismatch("repeats the input " + name);
            });
    Map<String, Long> symbols = new LinkedHashMap<>();
    for (TensorType type : content.inputs().values()) {
      for (Dim dim : type.dims()) {
        if (dim instanceof Dim.Symbolic symbolic) {
          symbols.put(symbolic.name(), 1L << 20);
        }
      }
    }
    for (Bundle.StateTensor tensor : content.state()) {
      if (!inputs.add(tensor.input()) || !outputs.add(tensor.output())) {
        throw root.get("state").mismatch("repeats " + tensor.input() + " or " + tensor.output());
      }
      for (Dim dim : tensor.type().dims()) {
        if (dim instanceof Dim.Symbolic symbolic
            && !symbols.containsKey(symbolic.name())
            && DimExpression.evaluate(symbolic.name(), symbols).isEmpty()) {
          throw root.get("state")
              .mismatch(
                  "gives "
                      + tensor.input()
                      + " the dimension \""
                      + dim
                      + "\", which the inputs' dimensions do not determine");
        }
      }
    }
  }

  private static String compiler(Json compiler) {
    return compiler.get("name").string() + " " + compiler.get("version").string();
  }

  private static Bundle.WeightFile weightFile(Json weights) {
    return new Bundle.WeightFile(relativeFile(weights.get("file")), weights.get("bytes").count());
  }

  private static List<Bundle.EngineFile> engineFiles(Json root, String key, boolean dense) {
    Set<String> inputs = tensors(root.get("inputs")).keySet();
    return root.find(key).stream()
        .flatMap(engines -> engines.elements().stream())
        .map(engine -> engineFile(engine, rebuildOptions(engine, inputs, dense)))
        .toList();
  }

  /** The shapes of state follow from the inputs', and are not asked for. */
  private static Rebuild.Options rebuildOptions(Json engine, Set<String> inputs, boolean dense) {
    Map<String, Rebuild.Range> ranges = new TreeMap<>();
    for (String input : inputs) {
      engine
          .find("shapes")
          .flatMap(shapes -> shapes.find(input))
          .ifPresent(
              range ->
                  ranges.put(
                      input,
                      new Rebuild.Range(
                          sizes(range.get("min")),
                          sizes(range.get("opt")),
                          sizes(range.get("max")))));
    }
    return new Rebuild.Options(
        dense,
        engine.find("precision").map(Json::string).orElse(Rebuild.KEEP),
        engine.find("tf32").map(Json::bool).orElse(false),
        ranges);
  }

  private static List<Long> sizes(Json dims) {
    return dims.elements().stream().map(Json::count).toList();
  }

  private static Bundle.EngineFile engineFile(Json engine, Rebuild.Options options) {
    Json plugins = engine.get("plugins");
    return new Bundle.EngineFile(
        relativeFile(engine.get("file")),
        engine.find("bytes").map(Json::count),
        engine.get("sha256").string(),
        engine.get("modelSha256").string(),
        relativeFile(plugins.get("file")),
        plugins.get("sha256").string(),
        engine.get("tensorrt").string(),
        engine.get("gpu").string(),
        engine.get("computeCapability").string(),
        options);
  }

  /** A file name that stays inside the bundle. */
  private static String relativeFile(Json file) {
    String name = file.string();
    try {
      Path path = Path.of(name);
      if (name.isEmpty() || path.isAbsolute() || path.normalize().startsWith("..")) {
        throw file.mismatch("must be a file inside the bundle, is \"" + name + "\"");
      }
    } catch (InvalidPathException e) {
      throw file.mismatch("must be a file name, is \"" + name + "\"");
    }
    return name;
  }

  private static String action(Json action, int sites) {
    Json count = action.get("sites");
    if (count.integer(0) != sites) {
      throw count.mismatch("must be " + sites + ", the number of sites");
    }
    return action.get("input").string();
  }

  private static Bundle.StateTensor stateTensor(Json tensor, int sites) {
    int site = tensor.get("site").integer(0);
    if (site >= sites) {
      throw tensor.get("site").mismatch("must be below " + sites + ", the number of sites");
    }
    return new Bundle.StateTensor(
        site,
        tensor.get("name").string(),
        tensor.get("input").string(),
        tensor.get("output").string(),
        type(tensor));
  }

  private static Map<String, TensorType> tensors(Json list) {
    Map<String, TensorType> out = new LinkedHashMap<>();
    for (Json tensor : list.elements()) {
      Json name = tensor.get("name");
      if (out.put(name.string(), type(tensor)) != null) {
        throw name.mismatch("repeats " + name.string());
      }
    }
    return Collections.unmodifiableMap(out);
  }

  /** Of the inputs that are places in a table, its length. */
  private static Map<String, Long> tableLengths(Json inputs) {
    Map<String, Long> lengths = new LinkedHashMap<>();
    for (Json input : inputs.elements()) {
      input
          .find("tableLength")
          .ifPresent(length -> lengths.put(input.get("name").string(), length.count()));
    }
    return Collections.unmodifiableMap(lengths);
  }

  private static TensorType type(Json tensor) {
    Json name = tensor.get("type");
    ElementType element =
        ElementType.ofShortName(name.string())
            .orElseThrow(
                () -> name.mismatch("is " + name.string() + ", which this runtime cannot pass"));
    return new TensorType(
        element, tensor.get("dims").elements().stream().map(BundleReader::dim).toList());
  }

  private static Dim dim(Json dim) {
    return dim.isString() ? new Dim.Symbolic(dim.string()) : new Dim.Fixed(dim.count());
  }

  private static Rule rule(Json schedule) {
    Optional<Json> searches = schedule.find("searchSteps");
    if (searches.isPresent()) {
      return new Rule.Searches(
          searches.get().elements().stream().map(step -> step.integer(0)).toList());
    }
    return new Rule.Periodic(
        schedule.get("denseWarmup").number(),
        schedule.get("replanInterval").integer(1),
        schedule.get("planDuringWarmup").bool());
  }
}
