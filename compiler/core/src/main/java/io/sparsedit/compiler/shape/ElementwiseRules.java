package io.sparsedit.compiler.shape;

import static io.sparsedit.compiler.shape.ShapeRules.register;
import static io.sparsedit.compiler.shape.ShapeRules.registerMicrosoft;

import io.sparsedit.compiler.ir.DataType;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BinaryOperator;
import java.util.function.DoubleUnaryOperator;
import java.util.function.UnaryOperator;

/** Operators that work on each element alone, with broadcasting. */
final class ElementwiseRules {
  private ElementwiseRules() {}

  static void addTo(Map<String, ShapeRule> table) {
    ShapeRule same = ElementwiseRules::same;
    register(
        table,
        same,
        "Acos",
        "Acosh",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "BitwiseNot",
        "Celu",
        "CumSum",
        "CumProd",
        "Elu",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "Hardmax",
        "LeakyRelu",
        "LogSoftmax",
        "LpNormalization",
        "MeanVarianceNormalization",
        "Mish",
        "PRelu",
        "Selu",
        "Shrink",
        "Softmax",
        "Softplus",
        "Softsign",
        "Swish",
        "ThresholdedRelu",
        "Trilu",
        "LRN",
        "ReverseSequence");
    registerMicrosoft(
        table,
        same,
        "FastGelu",
        "Gelu",
        "QuickGelu",
        "BiasGelu",
        "BiasAdd",
        "BiasSoftmax",
        "Trilu");
    unary(table, "Abs", Arithmetic::absolute);
    unary(table, "Neg", Arithmetic::negate);
    unary(table, "Floor", Arithmetic::floor);
    unary(table, "Ceil", Arithmetic::ceil);
    unary(table, "Round", Arithmetic::round);
    unary(table, "Reciprocal", Arithmetic::reciprocal);
    unary(table, "Relu", e -> Arithmetic.max(e, zeroLike(e)));
    real(table, "Sqrt", Math::sqrt);
    real(table, "Exp", Math::exp);
    real(table, "Log", Math::log);
    real(table, "Sin", Math::sin);
    real(table, "Cos", Math::cos);
    real(table, "Tan", Math::tan);
    real(table, "Sinh", Math::sinh);
    real(table, "Cosh", Math::cosh);
    real(table, "Tanh", Math::tanh);
    real(table, "Sigmoid", x -> 1 / (1 + Math.exp(-x)));
    real(table, "Sign", Math::signum);
    same(table, "Erf");

    binary(table, Arithmetic::add, "Add");
    binary(table, Arithmetic::subtract, "Sub");
    binary(table, Arithmetic::multiply, "Mul");
    register(table, ElementwiseRules::divide, "Div");
    register(table, ElementwiseRules::remainder, "Mod");
    binary(table, Arithmetic::power, "Pow");
    binary(table, (a, b) -> Scalar.unknown(), "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor");
    compare(table, Arithmetic::equal, "Equal");
    compare(table, Arithmetic::less, "Less");
    compare(table, Arithmetic::lessOrEqual, "LessOrEqual");
    compare(table, (a, b) -> Arithmetic.less(b, a), "Greater");
    compare(table, (a, b) -> Arithmetic.lessOrEqual(b, a), "GreaterOrEqual");
    compare(table, Arithmetic::and, "And");
    compare(table, Arithmetic::or, "Or");
    compare(table, Arithmetic::xor, "Xor");
    register(table, call -> truth(call, Arithmetic::not), "Not");
    register(table, call -> truth(call, e -> test(e, Double.NaN)), "IsNaN");
    register(table, call -> truth(call, e -> Scalar.unknown()), "IsInf");
    variadic(table, Arithmetic::max, "Max");
    variadic(table, Arithmetic::min, "Min");
    variadic(table, Arithmetic::add, "Sum");
    variadic(table, (a, b) -> Scalar.unknown(), "Mean");
    register(table, ElementwiseRules::clip, "Clip");
    register(table, ElementwiseRules::where, "Where");
    register(table, ElementwiseRules::cast, "Cast");
    register(table, ElementwiseRules::castLike, "CastLike");
    register(table, ElementwiseRules::dropout, "Dropout");
    register(table, ElementwiseRules::identity, "Identity");
    registerMicrosoft(table, ElementwiseRules::splitGelu, "BiasSplitGelu");
  }

  private static void same(Map<String, ShapeRule> table, String name) {
    register(table, ElementwiseRules::same, name);
  }

  /** Type and shape of the first output are those of the first input. */
  static void same(Call call) {
    call.type(0, call.type(0));
    call.shape(0, call.shape(0));
  }

  private static void unary(
      Map<String, ShapeRule> table, String name, UnaryOperator<Scalar> function) {
    register(
        table,
        call -> {
          same(call);
          if (call.follows(0)) {
            DataType type = call.type(0);
            call.knownValue(0).ifPresent(v -> call.value(0, v.map(type, function)));
          }
        },
        name);
  }

  private static void real(
      Map<String, ShapeRule> table, String name, DoubleUnaryOperator function) {
    unary(table, name, e -> Arithmetic.apply(e, function));
  }

  private static Scalar zeroLike(Scalar element) {
    return element instanceof Scalar.Real ? new Scalar.Real(0) : Scalar.of(0);
  }

  private static Scalar test(Scalar element, double value) {
    return element instanceof Scalar.Real real
        ? Scalar.of(Double.compare(real.value(), value) == 0)
        : Scalar.unknown();
  }

  private static void truth(Call call, UnaryOperator<Scalar> function) {
    call.type(0, DataType.BOOL);
    call.shape(0, call.shape(0));
    if (call.follows(0)) {
      call.knownValue(0).ifPresent(v -> call.value(0, v.map(DataType.BOOL, function)));
    }
  }

  private static void binary(
      Map<String, ShapeRule> table, BinaryOperator<Scalar> function, String... names) {
    register(table, call -> zip(call, call.firstType(0, 1), function), names);
  }

  private static void compare(
      Map<String, ShapeRule> table, BinaryOperator<Scalar> function, String... names) {
    register(table, call -> zip(call, DataType.BOOL, function), names);
  }

  private static void divide(Call call) {
    boolean real = call.type(0).isFloating();
    zip(call, call.firstType(0, 1), real ? Arithmetic::divide : Arithmetic::divideIntegers);
  }

  private static void remainder(Call call) {
    boolean signOfDividend = call.longAttribute("fmod", 0) == 1;
    zip(call, call.firstType(0, 1), (a, b) -> Arithmetic.remainder(a, b, signOfDividend));
  }

  private static void zip(Call call, DataType type, BinaryOperator<Scalar> function) {
    call.type(0, type);
    call.shape(0, broadcast(call, 0, 1));
    if (!call.follows(0)) {
      return;
    }
    // Elements of an input are worth a name only beside others that are known.
    boolean either = call.hasValue(0) || call.hasValue(1);
    Optional<Partial> a = either ? call.value(0) : Optional.empty();
    Optional<Partial> b = either ? call.value(1) : Optional.empty();
    if (a.isPresent() && b.isPresent()) {
      long[] sizes = call.sizes(0);
      call.value(0, a.get().expand(sizes).zip(b.get().expand(sizes), type, function));
    }
  }

  private static Shape broadcast(Call call, int... inputs) {
    Shape shape = Shape.SCALAR;
    for (int input : inputs) {
      Shape before = shape;
      Shape other = call.shape(input);
      shape =
          Shape.broadcast(before, other)
              .orElseThrow(
                  () -> call.invalid("shapes " + before + " and " + other + " do not broadcast"));
    }
    return shape;
  }

  private static void variadic(
      Map<String, ShapeRule> table, BinaryOperator<Scalar> function, String... names) {
    register(
        table,
        call -> {
          int[] inputs = new int[call.inputCount()];
          for (int i = 0; i < inputs.length; i++) {
            inputs[i] = i;
          }
          call.type(0, call.firstType(inputs));
          call.shape(0, broadcast(call, inputs));
          if (!call.follows(0)) {
            return;
          }
          Optional<Partial> result = Optional.empty();
          for (int i = 0; i < inputs.length; i++) {
            Optional<Partial> next = call.knownValue(i).map(v -> v.expand(call.sizes(0)));
            if (next.isEmpty()) {
              return;
            }
            result =
                Optional.of(
                    result.isEmpty()
                        ? next.get()
                        : result.get().zip(next.get(), next.get().type(), function));
          }
          result.ifPresent(v -> call.value(0, v));
        },
        names);
  }

  private static void clip(Call call) {
    same(call);
    Optional<Partial> value = call.follows(0) ? call.knownValue(0) : Optional.empty();
    for (int bound = 1; bound <= 2 && value.isPresent(); bound++) {
      if (!call.has(bound)) {
        continue;
      }
      BinaryOperator<Scalar> function = bound == 1 ? Arithmetic::max : Arithmetic::min;
      Optional<Partial> limit = call.knownValue(bound).map(v -> v.expand(call.sizes(0)));
      value =
          limit.isPresent()
              ? Optional.of(value.get().zip(limit.get(), call.type(0), function))
              : Optional.empty();
    }
    boolean byAttribute = call.attribute("min").isPresent() || call.attribute("max").isPresent();
    if (!byAttribute) {
      value.ifPresent(v -> call.value(0, v));
    }
  }

  private static void where(Call call) {
    DataType type = call.firstType(1, 2);
    call.type(0, type);
    call.shape(0, broadcast(call, 0, 1, 2));
    if (!call.follows(0)) {
      return;
    }
    long[] sizes = call.sizes(0);
    Optional<Partial> yes = call.knownValue(1).map(v -> v.expand(sizes));
    Optional<Partial> no = call.knownValue(2).map(v -> v.expand(sizes));
    Optional<Partial> condition = call.knownValue(0).map(v -> v.expand(sizes));
    if (condition.isEmpty() || (yes.isEmpty() && no.isEmpty())) {
      return;
    }
    List<Scalar> elements = new ArrayList<>();
    for (int i = 0; i < condition.get().size(); i++) {
      int index = i;
      Scalar test = condition.get().element(i);
      Scalar x = yes.map(v -> v.element(index)).orElse(Scalar.unknown());
      Scalar y = no.map(v -> v.element(index)).orElse(Scalar.unknown());
      if (Arithmetic.isTrue(test) || x.equals(y)) {
        elements.add(x);
      } else {
        elements.add(Arithmetic.isFalse(test) ? y : Scalar.unknown());
      }
    }
    call.value(0, Partial.of(type, sizes, elements));
  }

  private static void cast(Call call) {
    convert(call, call.typeAttribute("to", DataType.UNDEFINED));
  }

  private static void castLike(Call call) {
    convert(call, call.type(1));
  }

  private static void convert(Call call, DataType to) {
    call.type(0, to);
    call.shape(0, call.shape(0));
    boolean numeric = to != DataType.UNDEFINED && to != DataType.STRING;
    // The narrow floating-point types round in ways that are not followed.
    boolean followed = numeric && (!to.isFloating() || to.bits() >= 16);
    if (followed && call.follows(0)) {
      UnaryOperator<Scalar> function =
          to == DataType.BOOL
              ? Arithmetic::truth
              : to.isFloating() ? UnaryOperator.identity() : Arithmetic::truncate;
      call.knownValue(0).ifPresent(v -> call.value(0, v.map(to, function)));
    }
  }

  private static void dropout(Call call) {
    same(call);
    call.set(1, DataType.BOOL, call.shape(0));
  }

  private static void identity(Call call) {
    call.set(0, call.fact(0));
    call.shape(0);
  }

  private static void splitGelu(Call call) {
    call.type(0, call.type(0));
    Shape shape = call.shape(0);
    call.shape(0, shape.with(shape.rank() - 1, shape.dim(-1).floorDiv(2)));
  }
}
