package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.rules.MatchTrace;
import io.sparsedit.compiler.rules.RuleSet;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ShapeTable;
import io.sparsedit.passes.functions.TextPosition;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What the passes of one compilation share: the model, the user's choices, and what has been found
 * so far.
 */
final class Compilation {
  private final Path file;
  private final Model model;
  private final CompileOptions options;
  private final List<String> originalOutputNames;
  private @Nullable ShapeTable facts;
  private List<Site> sites = List.of();
  private @Nullable VideoGeometry geometry;
  private String geometrySource = "";
  private final List<EmittedSite> emitted = new ArrayList<>();
  private List<Inspection.NotUnderstood> notUnderstood = List.of();
  private List<Rejection> rejections = List.of();
  private List<MatchTrace.RuleStats> trace = List.of();
  private @Nullable RuleSet rules;
  private @Nullable RuleInput ruleInput;

  Compilation(Path file, Model model, CompileOptions options) {
    this.file = file;
    this.model = model;
    this.options = options;
    this.originalOutputNames = model.graph().outputs().stream().map(Value::name).toList();
  }

  /** Names of the model's outputs as it came. */
  List<String> originalOutputNames() {
    return originalOutputNames;
  }

  /** The file that the model came from, for messages. */
  Path file() {
    return file;
  }

  /** The model, changed in place. */
  Model model() {
    return model;
  }

  CompileOptions options() {
    return options;
  }

  /** The rules by which attention is recognised. */
  RuleSet rules() {
    RuleSet loaded = rules;
    if (loaded == null) {
      loaded = AttentionRules.load(options.ownRules());
      rules = loaded;
    }
    return loaded;
  }

  /** What is known of every value of the model as it is now. */
  ShapeTable facts() {
    ShapeTable table = facts;
    if (table == null) {
      table = ShapeInference.infer(model);
      facts = table;
    }
    return table;
  }

  /** Forgets what was derived from the graph; called after each pass. */
  void graphChanged() {
    facts = null;
  }

  /** All sites in graph order. */
  List<Site> sites() {
    return sites;
  }

  void setSites(List<Site> newSites) {
    sites = List.copyOf(newSites);
  }

  /** Extent of the video, if it is known. */
  Optional<VideoGeometry> geometry() {
    return Optional.ofNullable(geometry);
  }

  /** How the geometry became known. */
  String geometrySource() {
    return geometrySource;
  }

  void setGeometry(VideoGeometry found, String source) {
    geometry = found;
    geometrySource = source;
  }

  /** Tokens of the first joint site, if there is one. */
  Optional<TokenLayout> jointTokens() {
    return sites.stream()
        .filter(site -> site.kind() == SiteKind.JOINT)
        .map(Site::tokens)
        .findFirst();
  }

  /** The model whose published settings hold: the user's choice, or the one that is most alike. */
  Preset preset() {
    return options.schedule().preset().orElseGet(this::presetOfSites);
  }

  private Preset presetOfSites() {
    TokenLayout tokens = jointTokens().orElse(TokenLayout.UNKNOWN);
    return Preset.mostAlike(
        tokens.textPosition().orElse(TextPosition.NONE),
        tokens.video().constant().orElse(Long.MAX_VALUE));
  }

  /** When a site of a method plans. */
  SiteSchedule schedule(MethodSettings method) {
    return method.schedule(options.schedule(), preset());
  }

  /** The sparse sites as emitted, in the order of their index. */
  List<EmittedSite> emitted() {
    return emitted;
  }

  /** Softmaxes that are not part of a site, with the reason. */
  List<Inspection.NotUnderstood> notUnderstood() {
    return notUnderstood;
  }

  /** Matches that are no attention. */
  List<Rejection> rejections() {
    return rejections;
  }

  void setRejections(List<Rejection> found) {
    rejections = List.copyOf(found);
  }

  /** What each rule did. */
  List<MatchTrace.RuleStats> trace() {
    return trace;
  }

  void setTrace(List<MatchTrace.RuleStats> stats) {
    trace = List.copyOf(stats);
  }

  /** The graph as the rules saw it, if it was kept. */
  Optional<RuleInput> ruleInput() {
    return Optional.ofNullable(ruleInput);
  }

  void setRuleInput(RuleInput kept) {
    ruleInput = kept;
  }

  void setNotUnderstood(List<Inspection.NotUnderstood> found) {
    notUnderstood = List.copyOf(found);
  }
}
