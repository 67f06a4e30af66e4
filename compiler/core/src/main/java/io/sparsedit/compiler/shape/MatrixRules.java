package io.sparsedit.compiler.shape;

import static io.sparsedit.compiler.shape.ShapeRules.register;
import static io.sparsedit.compiler.shape.ShapeRules.registerMicrosoft;

import io.sparsedit.compiler.ir.DataType;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Matrix products. */
final class MatrixRules {
  private MatrixRules() {}

  static void addTo(Map<String, ShapeRule> table) {
    register(table, call -> matMul(call, call.firstType(0, 1), 0, 1), "MatMul");
    register(table, call -> matMul(call, DataType.INT32, 0, 1), "MatMulInteger");
    register(table, call -> matMul(call, call.type(7), 0, 3), "QLinearMatMul");
    register(table, MatrixRules::gemm, "Gemm");
    register(table, MatrixRules::einsum, "Einsum");
    register(table, MatrixRules::determinant, "Det");
    registerMicrosoft(table, MatrixRules::fusedMatMul, "FusedMatMul");
    registerMicrosoft(table, MatrixRules::gemm, "FusedGemm");
    registerMicrosoft(
        table, call -> matMul(call, call.type(0), 0, 1), "GemmFastGelu", "DynamicQuantizeMatMul");
    registerMicrosoft(table, call -> matMul(call, call.type(2), 0, 1), "MatMulIntegerToFloat");
    registerMicrosoft(table, MatrixRules::quantizedWeight, "MatMulNBits", "MatMulBnb4");
    registerMicrosoft(table, ElementwiseRules::same, "Inverse");
  }

  private static void matMul(Call call, DataType type, int left, int right) {
    call.type(0, type);
    call.shape(0, matMul(call, call.shape(left), call.shape(right)));
  }

  private static Shape matMul(Call call, Shape a, Shape b) {
    if (a.rank() == 0 || b.rank() == 0) {
      throw call.invalid("a product of scalars");
    }
    Dim inner = a.dim(-1);
    Dim other = b.rank() == 1 ? b.dim(0) : b.dim(-2);
    if (inner.isConstant() && other.isConstant() && !inner.equals(other)) {
      throw call.invalid("shapes " + a + " and " + b + " do not multiply");
    }
    Shape batchA = a.slice(0, Math.max(a.rank() - 2, 0));
    Shape batchB = b.slice(0, Math.max(b.rank() - 2, 0));
    Shape batch =
        Shape.broadcast(batchA, batchB)
            .orElseThrow(() -> call.invalid("shapes " + a + " and " + b + " do not multiply"));
    Shape rows = a.rank() == 1 ? Shape.SCALAR : Shape.of(a.dim(-2));
    Shape columns = b.rank() == 1 ? Shape.SCALAR : Shape.of(b.dim(-1));
    return batch.plus(rows).plus(columns);
  }

  private static void gemm(Call call) {
    call.type(0, call.firstType(0, 1));
    boolean leftTransposed = call.longAttribute("transA", 0) != 0;
    boolean rightTransposed = call.longAttribute("transB", 0) != 0;
    Dim rows = call.shape(0).dim(leftTransposed ? 1 : 0);
    Dim columns = call.shape(1).dim(rightTransposed ? 0 : 1);
    call.shape(0, Shape.of(rows, columns));
  }

  private static void fusedMatMul(Call call) {
    call.type(0, call.firstType(0, 1));
    call.shape(0, matMul(call, turned(call, 0), turned(call, 1)));
  }

  /** An operand of a FusedMatMul as it is multiplied. */
  private static Shape turned(Call call, int operand) {
    Shape shape = call.shape(operand);
    FusedOperand turn = FusedOperand.of(call.node(), operand);
    if (!turn.turns() || shape.rank() < 2) {
      return shape;
    }
    return new Shape(turn.permutation(shape.rank()).stream().map(shape::dim).toList());
  }

  private static void quantizedWeight(Call call) {
    call.type(0, call.type(0));
    Shape shape = call.shape(0);
    call.shape(0, shape.with(shape.rank() - 1, Dim.of(call.longAttribute("N", 0))));
  }

  private static void determinant(Call call) {
    call.type(0, call.type(0));
    Shape shape = call.shape(0);
    call.shape(0, shape.slice(0, shape.rank() - 2));
  }

  // ---- Einsum -----------------------------------------------------------------------------------

  private static void einsum(Call call) {
    call.type(0, call.type(0));
    String equation = call.stringAttribute("equation", "").replace(" ", "");
    int arrow = equation.indexOf("->");
    String left = arrow < 0 ? equation : equation.substring(0, arrow);
    List<String> operands = List.of(left.split(",", -1));
    if (operands.size() != call.inputCount()) {
      throw call.invalid("equation '" + equation + "' has " + operands.size() + " operands");
    }
    Map<Character, Dim> sizes = new LinkedHashMap<>();
    Map<Character, Integer> counts = new TreeMap<>();
    Shape ellipsis = Shape.SCALAR;
    for (int i = 0; i < operands.size(); i++) {
      ellipsis = read(call, operands.get(i), call.shape(i), ellipsis, sizes, counts);
    }
    String right = arrow < 0 ? implicit(left, counts) : equation.substring(arrow + 2);
    List<Dim> dims = new ArrayList<>();
    for (int i = 0; i < right.length(); i++) {
      if (right.charAt(i) == '.') {
        dims.addAll(ellipsis.dims());
        i += 2;
        continue;
      }
      Dim size = sizes.get(right.charAt(i));
      if (size == null) {
        throw call.invalid("equation '" + equation + "' does not define '" + right.charAt(i) + "'");
      }
      dims.add(size);
    }
    call.shape(0, new Shape(dims));
  }

  private static Shape read(
      Call call,
      String operand,
      Shape shape,
      Shape ellipsisSoFar,
      Map<Character, Dim> sizes,
      Map<Character, Integer> counts) {
    boolean dots = operand.contains("...");
    String letters = operand.replace("...", "");
    int covered = shape.rank() - letters.length();
    if (covered < 0 || (covered > 0 && !dots)) {
      throw call.invalid("operand '" + operand + "' does not fit shape " + shape);
    }
    int start = dots ? operand.indexOf('.') : letters.length();
    for (int i = 0; i < letters.length(); i++) {
      Dim size = shape.dim(i < start ? i : i + covered);
      char letter = letters.charAt(i);
      Dim known = sizes.get(letter);
      // A dimension of 1 broadcasts against the letter's other uses.
      sizes.put(
          letter,
          known == null || known.is(1) ? size : size.is(1) ? known : Shape.agree(known, size));
      counts.merge(letter, 1, Integer::sum);
    }
    if (!dots) {
      return ellipsisSoFar;
    }
    Shape own = shape.slice(start, start + covered);
    return Shape.broadcast(ellipsisSoFar, own)
        .orElseThrow(() -> call.invalid("shapes " + ellipsisSoFar + " and " + own + " differ"));
  }

  private static String implicit(String left, Map<Character, Integer> counts) {
    StringBuilder right = new StringBuilder(left.contains("...") ? "..." : "");
    counts.forEach(
        (letter, count) -> {
          if (count == 1) {
            right.append(letter.charValue());
          }
        });
    return right.toString();
  }
}
