package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.tensorrt.EngineBuilder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;

/**
 * The shapes that an engine of a model with dynamic dimensions is built for.
 *
 * <p>What the user says of some inputs gives sizes to the symbols in their dimensions, and so to
 * other inputs with the same symbols: the state's, above all. Nothing is guessed.
 */
final class ShapeProfile {
  private final Graph graph;
  private final String option;
  private final InputShapes given;
  private final Map<String, Long> symbols = new HashMap<>();
  private final Map<String, String> origins = new HashMap<>();

  private ShapeProfile(Graph graph, String option, InputShapes given) {
    this.graph = graph;
    this.option = option;
    this.given = given;
  }

  /**
   * The shapes of each input with a dynamic dimension; none for a static model.
   *
   * @throws SparsifyException if the options do not fit the model, or leave a shape open
   */
  static Map<String, EngineBuilder.Shapes> of(Graph graph, InputRange range) {
    List<String> open = open(graph);
    if (open.isEmpty() && range.isEmpty()) {
      return Map.of();
    }
    if (range.min().isEmpty() || range.opt().isEmpty() || range.max().isEmpty()) {
      throw SparsifyException.usage(
          open.isEmpty()
              ? "the model's shapes are all fixed: --min-shapes, --opt-shapes and --max-shapes are"
                  + " not needed, and make sense only together"
              : "the model has inputs of dynamic shape, "
                  + String.join(", ", open)
                  + ": say for which shapes the engine is to be built with --min-shapes,"
                  + " --opt-shapes and --max-shapes, each as NAME:1x2x3,NAME:4x5");
    }
    Map<String, List<Long>> smallest =
        new ShapeProfile(graph, "--min-shapes", range.min()).resolve();
    Map<String, List<Long>> usual = new ShapeProfile(graph, "--opt-shapes", range.opt()).resolve();
    Map<String, List<Long>> largest =
        new ShapeProfile(graph, "--max-shapes", range.max()).resolve();
    Map<String, EngineBuilder.Shapes> shapes = new TreeMap<>();
    smallest.forEach(
        (name, low) -> {
          List<Long> middle = usual.getOrDefault(name, List.of());
          List<Long> high = largest.getOrDefault(name, List.of());
          requireOrder(name, low, middle);
          requireOrder(name, middle, high);
          shapes.put(name, new EngineBuilder.Shapes(low, middle, high));
        });
    return shapes;
  }

  /**
   * The inputs that must be given shapes, as in {@code latents [batch, 16, 21]}: those with a
   * dimension that does not follow from the inputs before.
   */
  static List<String> open(Graph graph) {
    Set<String> known = new HashSet<>();
    List<String> open = new ArrayList<>();
    for (Value input : inputs(graph)) {
      boolean follows = true;
      for (DeclaredDim dim : dims(input)) {
        Set<String> symbols = symbols(dim);
        follows &= dim instanceof DeclaredDim.Fixed || known.containsAll(symbols);
        if (dim instanceof DeclaredDim.Named named && symbols.equals(Set.of(named.name()))) {
          known.addAll(symbols);
        }
      }
      if (!follows) {
        open.add(describe(input));
      }
    }
    return open;
  }

  private static Set<String> symbols(DeclaredDim dim) {
    return dim instanceof DeclaredDim.Named named ? Dim.parse(named.name()).symbols() : Set.of();
  }

  private static void requireOrder(String name, List<Long> low, List<Long> high) {
    for (int i = 0; i < low.size(); i++) {
      if (low.get(i) > high.get(i)) {
        throw SparsifyException.usage(
            "the shapes of "
                + name
                + " must not fall from --min-shapes to --opt-shapes to --max-shapes; "
                + InputShapes.text(low)
                + " comes before "
                + InputShapes.text(high));
      }
    }
  }

  /** The shape of each dynamic input. */
  private Map<String, List<Long>> resolve() {
    for (String name : given.dims().keySet()) {
      if (inputs(graph).stream().noneMatch(input -> input.name().equals(name))) {
        throw SparsifyException.usage(
            option
                + " names "
                + name
                + ", which is no input of the model; "
                + (open(graph).isEmpty()
                    ? "its shapes are all fixed"
                    : "shapes are needed for " + String.join(", ", open(graph))));
      }
    }
    for (Value input : inputs(graph)) {
      List<Long> sizes = given.dims().get(input.name());
      if (sizes != null) {
        bind(input, sizes);
      }
    }
    Map<String, List<Long>> shapes = new LinkedHashMap<>();
    for (Value input : inputs(graph)) {
      List<DeclaredDim> dims = dims(input);
      List<Long> sizes = given.dims().getOrDefault(input.name(), List.of());
      List<Long> shape = new ArrayList<>();
      for (int i = 0; i < dims.size(); i++) {
        OptionalLong derived = size(dims.get(i));
        OptionalLong said = i < sizes.size() ? OptionalLong.of(sizes.get(i)) : OptionalLong.empty();
        if (derived.isEmpty() && said.isEmpty()) {
          throw SparsifyException.usage(
              option
                  + " gives no size to "
                  + describe(input)
                  + ": add "
                  + input.name()
                  + ":"
                  + String.join("x", dims.stream().map(ShapeProfile::text).toList())
                  + " with numbers");
        }
        if (derived.isPresent() && said.isPresent() && derived.getAsLong() != said.getAsLong()) {
          throw SparsifyException.usage(
              option
                  + ": "
                  + input.name()
                  + ":"
                  + InputShapes.text(sizes)
                  + " does not fit "
                  + describe(input)
                  + ", where dimension "
                  + i
                  + " is "
                  + derived.getAsLong()
                  + origin(dims.get(i)));
        }
        shape.add(derived.orElseGet(said::getAsLong));
      }
      if (!isFixed(dims)) {
        shapes.put(input.name(), shape);
      }
    }
    return shapes;
  }

  private void bind(Value input, List<Long> sizes) {
    List<DeclaredDim> dims = dims(input);
    if (dims.size() != sizes.size()) {
      throw SparsifyException.usage(
          option
              + ": "
              + input.name()
              + ":"
              + InputShapes.text(sizes)
              + " has "
              + sizes.size()
              + " dimensions, "
              + describe(input)
              + " has "
              + dims.size());
    }
    for (int i = 0; i < dims.size(); i++) {
      if (dims.get(i) instanceof DeclaredDim.Named named
          && Dim.parse(named.name()).equals(Dim.symbol(named.name()))
          && !symbols.containsKey(named.name())) {
        symbols.put(named.name(), sizes.get(i));
        origins.put(named.name(), input.name());
      }
    }
  }

  private String origin(DeclaredDim dim) {
    return dim instanceof DeclaredDim.Named named && origins.containsKey(named.name())
        ? " by " + origins.get(named.name())
        : "";
  }

  private OptionalLong size(DeclaredDim dim) {
    if (dim instanceof DeclaredDim.Fixed fixed) {
      return OptionalLong.of(fixed.size());
    }
    return dim instanceof DeclaredDim.Named named
        ? Dim.parse(named.name()).evaluate(symbols)
        : OptionalLong.empty();
  }

  private static List<Value> inputs(Graph graph) {
    return graph.inputs().stream().filter(input -> input.constant().isEmpty()).toList();
  }

  private static List<DeclaredDim> dims(Value input) {
    if (input.type().orElse(null) instanceof ValueType.TensorType type && type.dims().isPresent()) {
      return type.dims().get();
    }
    throw SparsifyException.failure(
        "input " + input.name() + " has no declared rank; TensorRT needs one. Export it again.");
  }

  private static boolean isFixed(List<DeclaredDim> dims) {
    return dims.stream().allMatch(dim -> dim instanceof DeclaredDim.Fixed);
  }

  private static String text(DeclaredDim dim) {
    if (dim instanceof DeclaredDim.Fixed fixed) {
      return Long.toString(fixed.size());
    }
    return dim instanceof DeclaredDim.Named named ? named.name() : "?";
  }

  /** As in {@code latents [batch, 16, 21]}. */
  private static String describe(Value input) {
    return input.name() + " " + dims(input).stream().map(ShapeProfile::text).toList();
  }
}
