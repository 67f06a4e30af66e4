package io.sparsedit.compiler.shape;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Walks a model in order and collects what the rules say. Used once. */
final class Engine {
  private static final int MAX_COMPLEXITY = 200;
  private static final int MAX_CALL_DEPTH = 64;

  /**
   * The scope of attribute references: the main graph or one call of a function.
   *
   * @param opsets operator-set versions that hold in it
   * @param attributes the call's attributes, defaults included
   * @param path tells calls apart in the names of unknown dimensions
   */
  private record Frame(Map<String, Long> opsets, Map<String, Attribute> attributes, String path) {}

  private record FunctionName(String domain, String name, String overload) {}

  private final Model model;
  private final Map<String, Dim> bindings;
  private final ConstantSource source;
  private final Map<String, ShapeRule> rules = ShapeRules.table();
  private final Map<FunctionName, Function> functions = new HashMap<>();
  private final Set<String> inputSymbols = new HashSet<>();
  private final Map<Value, Fact> facts = new HashMap<>();
  private final Map<Value, Fact> joinedCalls = new HashMap<>();
  private final Set<Value> absent = new HashSet<>();
  private final Map<String, Value> origins = new HashMap<>();
  private final Map<Node, String> unknowns = new LinkedHashMap<>();
  private final Map<Node, String> invalid = new LinkedHashMap<>();
  private final Map<Value, ShapeTable.Contradiction> contradictions = new LinkedHashMap<>();
  private final Deque<Frame> frames = new ArrayDeque<>();
  private int calls;
  private int tentative;

  Engine(Model model, Map<String, Dim> bindings, ConstantSource source) {
    this.model = model;
    this.bindings = bindings;
    this.source = source;
    for (Function function : model.functions()) {
      functions.put(
          new FunctionName(function.domain(), function.name(), function.overload()), function);
    }
  }

  ShapeTable run() {
    frames.push(new Frame(model.opsets(), Map.of(), ""));
    for (Value input : model.graph().inputs()) {
      Fact fact = declared(input).orElse(Fact.NOTHING);
      facts.put(input, fact);
      if (fact.shape() != null) {
        fact.shape().dims().forEach(dim -> inputSymbols.addAll(dim.symbols()));
      }
    }
    inferGraph(model.graph());
    facts.putAll(joinedCalls);
    return new ShapeTable(
        facts, listed(unknowns), listed(invalid), List.copyOf(contradictions.values()), source);
  }

  private static List<ShapeTable.Unknown> listed(Map<Node, String> reasons) {
    return reasons.entrySet().stream()
        .map(e -> new ShapeTable.Unknown(e.getKey(), e.getValue()))
        .toList();
  }

  // ---- what rules ask ---------------------------------------------------------------------------

  long opset(String domain) {
    return frame().opsets.getOrDefault(domain, 0L);
  }

  Fact fact(Value value) {
    return facts.getOrDefault(value, Fact.NOTHING);
  }

  void setFact(Value value, Fact fact) {
    facts.put(value, merge(value, fact));
  }

  /** Whether the value is an input of a function that the call leaves out. */
  boolean isAbsent(Value value) {
    return absent.contains(value);
  }

  /** The value's elements as far as they are known, decoded when first asked for. */
  Optional<Partial> partial(Value value) {
    Fact fact = fact(value);
    if (fact.value() == null && fact.tensor() != null) {
      fact = fact.withValue(decode(fact.tensor()).orElse(null));
      facts.put(value, fact);
    }
    return Optional.ofNullable(fact.value());
  }

  private Optional<Partial> decode(Tensor tensor) {
    if (!Partial.fits(tensor.type(), tensor.dims())) {
      return Optional.empty();
    }
    Optional<Tensor> present = tensor.isExternal() ? source.read(tensor) : Optional.of(tensor);
    return present.flatMap(Partial::of);
  }

  /** Symbols for the elements of a small integer tensor of which nothing is known. */
  Optional<Partial> data(Value value) {
    Fact fact = fact(value);
    if (fact.shape() == null || !Call.isSmallInteger(fact)) {
      return Optional.empty();
    }
    long[] sizes = fact.shape().sizes().orElseThrow();
    String origin = origin(value);
    List<Scalar> elements = new ArrayList<>();
    if (sizes.length == 0) {
      elements.add(Scalar.of(Dim.data(origin)));
    } else {
      for (int i = 0; i < sizes[0]; i++) {
        elements.add(Scalar.of(Dim.data(origin + "[" + i + "]")));
      }
    }
    Partial partial = Partial.of(fact.type(), sizes, elements);
    facts.put(value, fact.withValue(partial));
    return Optional.of(partial);
  }

  Dim unknownDim(Value value, int axis) {
    return Dim.unknown(origin(value) + "." + axis);
  }

  /** A name for what is not known of a value: the same for the same value in the same call. */
  private String origin(Value value) {
    String name = value.name();
    if (name.isEmpty()) {
      name = value.producer().map(Node::opType).orElse("");
    }
    String base = "?" + frame().path + name;
    String candidate = base;
    for (int i = 1; ; i++) {
      Value owner = origins.putIfAbsent(candidate, value);
      if (owner == null || owner == value) {
        return candidate;
      }
      candidate = base + "'" + i;
    }
  }

  /** The attribute with a function's attribute put in for a reference to it. */
  Optional<Attribute> bound(Attribute attribute) {
    return attribute instanceof Attribute.Reference reference
        ? Optional.ofNullable(frame().attributes.get(reference.attribute()))
        : Optional.of(attribute);
  }

  private Frame frame() {
    return frames.element();
  }

  // ---- the walk ---------------------------------------------------------------------------------

  void inferGraph(Graph graph) {
    for (Value value : graph.initializers()) {
      Tensor tensor = value.constant().orElseThrow();
      // The default of an input says nothing of what a caller passes.
      if (!facts.containsKey(value)) {
        facts.put(value, Fact.of(tensor));
      }
    }
    // Sparse initializers.
    for (Value value : graph.declaredValues()) {
      declared(value).ifPresent(fact -> facts.putIfAbsent(value, fact));
    }
    for (Node node : graph.nodes()) {
      infer(node);
    }
  }

  /** Infers a body over and over without keeping a record, until the last time. */
  void tentatively(Runnable work) {
    tentative++;
    try {
      work.run();
    } finally {
      tentative--;
    }
  }

  private void infer(Node node) {
    Call call = new Call(this, node);
    Optional<String> reason = Optional.empty();
    try {
      apply(call);
    } catch (ShapeRule.Unknown e) {
      reason = Optional.of(e.reason());
      if (e.isInvalid()) {
        invalid.putIfAbsent(node, e.reason());
      }
    } catch (RuntimeException e) {
      // A node that breaks the operator's own rules must not keep the rest from being known.
      reason = Optional.of("the node does not fit its operator: " + e);
      invalid.putIfAbsent(node, "its inputs or attributes are not those of the operator");
    }
    boolean complete = true;
    for (int i = 0; i < call.outputCount(); i++) {
      Value output = node.output(i);
      Fact fact = merge(output, tidy(output, call.output(i)));
      facts.put(output, fact);
      complete &= fact.shape() != null || output.name().isEmpty();
    }
    if (tentative == 0 && !complete) {
      unknowns.putIfAbsent(
          node, reason.orElse("the rule for " + node.opType() + " gives no shape"));
    }
  }

  private void apply(Call call) {
    Node node = call.node();
    Function function =
        functions.get(new FunctionName(node.domain(), node.opType(), node.overload()));
    if (function != null) {
      call(call, function);
      return;
    }
    String key = node.domain().isEmpty() ? node.opType() : node.domain() + "." + node.opType();
    ShapeRule rule = rules.get(key);
    if (rule == null) {
      throw new ShapeRule.Unknown("there is no shape rule for operator " + key);
    }
    rule.infer(call);
  }

  private void call(Call call, Function function) {
    if (frames.size() > MAX_CALL_DEPTH) {
      throw new ShapeRule.Unknown("calls of functions are nested too deeply or endless");
    }
    Map<String, Attribute> attributes = new HashMap<>(function.attributeDefaults());
    call.node()
        .attributes()
        .forEach((name, value) -> bound(value).ifPresent(v -> attributes.put(name, v)));
    Graph body = function.body();
    List<Value> inputs = body.inputs();
    for (int i = 0; i < inputs.size(); i++) {
      facts.put(inputs.get(i), call.fact(i));
      if (call.has(i)) {
        absent.remove(inputs.get(i));
      } else {
        absent.add(inputs.get(i));
      }
    }
    calls++;
    frames.push(new Frame(function.opsets(), attributes, function.name() + "#" + calls + "/"));
    try {
      inferGraph(body);
    } finally {
      frames.pop();
    }
    for (int i = 0; i < Math.min(call.outputCount(), body.outputs().size()); i++) {
      call.set(i, fact(body.outputs().get(i)));
    }
    if (tentative == 0) {
      join(body);
    }
  }

  private void join(Graph body) {
    for (Value value : body.values()) {
      Fact fact = fact(value);
      Fact before = joinedCalls.get(value);
      joinedCalls.put(value, before == null ? fact : join(value, before, fact));
    }
    for (Node node : body.nodes()) {
      node.subgraphs().forEach(this::join);
    }
  }

  /** What holds under both facts. */
  Fact join(Value value, Fact a, Fact b) {
    DataType type = a.type() == b.type() ? a.type() : DataType.UNDEFINED;
    Shape shape = null;
    if (a.shape() != null && b.shape() != null && a.shape().rank() == b.shape().rank()) {
      shape = a.shape();
      for (int i = 0; i < shape.rank(); i++) {
        if (!shape.dim(i).equals(b.shape().dim(i))) {
          shape = shape.with(i, unknownDim(value, i));
        }
      }
    }
    Partial elements = null;
    if (a.value() != null
        && b.value() != null
        && a.value().elements().equals(b.value().elements())) {
      elements = a.value();
    }
    return new Fact(type, shape, elements, a.tensor() == b.tensor() ? a.tensor() : null);
  }

  // ---- facts ------------------------------------------------------------------------------------

  private Fact tidy(Value value, Fact fact) {
    Shape shape = fact.shape();
    if (shape == null) {
      return fact.value() == null ? fact : fact.withShape(Shape.of(fact.value().dims()));
    }
    for (int i = 0; i < shape.rank(); i++) {
      if (!shape.dim(i).isConstant() && shape.dim(i).complexity() > MAX_COMPLEXITY) {
        shape = shape.with(i, unknownDim(value, i));
      }
    }
    return fact.withShape(shape);
  }

  /** The derived fact completed by what the model declares of the value. */
  private Fact merge(Value value, Fact derived) {
    Optional<Fact> declaration = declared(value);
    if (declaration.isEmpty()) {
      return derived;
    }
    Fact declared = declaration.get();
    Fact merged = derived;
    if (derived.type() == DataType.UNDEFINED) {
      merged = merged.withType(declared.type());
    } else if (declared.type() != DataType.UNDEFINED && declared.type() != derived.type()) {
      contradict(value, derived.type().shortName(), declared.type().shortName());
    }
    if (derived.shape() == null) {
      return merged.withShape(declared.shape());
    }
    return declared.shape() == null
        ? merged
        : merged.withShape(merge(value, derived.shape(), declared.shape()));
  }

  private Shape merge(Value value, Shape derived, Shape declared) {
    if (derived.rank() != declared.rank()) {
      contradict(value, derived.toString(), declared.toString());
      return derived;
    }
    Shape merged = derived;
    for (int i = 0; i < derived.rank(); i++) {
      Dim rule = derived.dim(i);
      Dim declaration = declared.dim(i);
      if (rule.equals(declaration) || declaration.isUnknown()) {
        continue;
      }
      Dim difference = rule.minus(declaration);
      boolean meaningful =
          declaration.isConstant() || inputSymbols.containsAll(declaration.symbols());
      if (difference.isConstant()) {
        contradict(value, derived.toString(), declared.toString());
      } else if (rule.isUnknown()
          || (!rule.isNamed() && meaningful)
          || rule.alternatives().contains(declaration)) {
        merged = merged.with(i, declaration);
      }
    }
    return merged;
  }

  private void contradict(Value value, String derived, String declared) {
    if (tentative == 0) {
      contradictions.putIfAbsent(value, new ShapeTable.Contradiction(value, derived, declared));
    }
  }

  private Optional<Fact> declared(Value value) {
    ValueType type = value.type().orElse(null);
    if (!(type instanceof ValueType.TensorType tensor)) {
      return Optional.empty();
    }
    @Nullable Shape shape = tensor.dims().map(dims -> declared(value, dims)).orElse(null);
    return Optional.of(new Fact(tensor.elementType(), shape, null, null));
  }

  private Shape declared(Value value, List<DeclaredDim> dims) {
    List<Dim> shape = new ArrayList<>();
    for (int i = 0; i < dims.size(); i++) {
      DeclaredDim dim = dims.get(i);
      if (dim instanceof DeclaredDim.Fixed fixed && fixed.size() >= 0) {
        shape.add(Dim.of(fixed.size()));
      } else if (dim instanceof DeclaredDim.Named named) {
        shape.add(Dim.parse(named.name()).substitute(bindings));
      } else {
        shape.add(unknownDim(value, i));
      }
    }
    return new Shape(shape);
  }
}
