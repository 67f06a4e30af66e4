package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Embeds patches by a product of matrices, which gives tokens as they are read.
 *
 * <pre>
 *   before   y = Conv(x, w, b; kernel = strides = 1 2 2)        x: [1,16,F,2H,2W]   y: [1,C,F,H,W]
 *            t = Transpose(Reshape(y, 1 C FHW), 0 2 1)          t: [1,FHW,C]
 *   after    p = Transpose(Reshape(x, 1 16 F H 2 W 2), 0 2 3 5 1 4 6)
 *            t = Add(MatMul(Reshape(p, 1 FHW 64), Transpose(Reshape(w, C 64), 1 0)), b)
 * </pre>
 *
 * Patches do not overlap, so that each number of the input is moved once, and they are few: the
 * tensor of tokens, hundreds of megabytes in a large model, is written once and not transposed.
 * Applies where the graph fixes the sizes.
 */
final class MultiplyPatches implements Pass<EngineModel> {
  private static final int CHANNEL_AXIS = 1;
  private static final int SPATIAL = 2;

  @Override
  public String name() {
    return "embed patches by a product";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      if (node.is("Conv") && rewrite(node, model)) {
        changed++;
      }
    }
    return changed;
  }

  private static boolean rewrite(Node conv, EngineModel model) {
    ShapeTable facts = model.facts();
    Optional<List<Long>> input = facts.fixedShape(conv.requiredInput(0));
    Optional<List<Long>> weight = facts.fixedShape(conv.requiredInput(1));
    Optional<Node> tokens = tokens(conv, facts);
    if (input.isEmpty() || weight.isEmpty() || tokens.isEmpty()) {
      return false;
    }
    List<Long> dims = input.get();
    List<Long> kernel = weight.get().subList(SPATIAL, weight.get().size());
    if (!takesEachOnce(conv, dims, kernel)) {
      return false;
    }
    long[] split = new long[] {dims.get(0), dims.get(CHANNEL_AXIS)};
    List<Long> places = new ArrayList<>(List.of(0L));
    List<Long> within = new ArrayList<>(List.of((long) CHANNEL_AXIS));
    long count = 1;
    for (int i = 0; i < kernel.size(); i++) {
      long size = kernel.get(i);
      long patches = dims.get(SPATIAL + i) / size;
      count *= patches;
      places.add((long) split.length);
      split = append(split, patches);
      if (size > 1) {
        within.add((long) split.length);
        split = append(split, size);
      }
    }
    long width = weight.get().stream().skip(1).reduce(1L, Math::multiplyExact);
    long[] order = LongStream.concat(longs(places), longs(within)).toArray();

    Emit emit = new Emit(tokens.get(), model.model().opset());
    Value patches = emit.transpose(emit.reshape(conv.requiredInput(0), split), order);
    Value rows = emit.reshape(patches, dims.get(0), count, width);
    Value columns =
        emit.transpose(emit.reshape(conv.requiredInput(1), weight.get().get(0), width), 1, 0);
    Value product = emit.node("MatMul", rows, columns);
    Emit.owner(product).setName(conv.name());
    Value bias = conv.inputCount() > 2 ? conv.requiredInput(2) : product;
    emit.replace(List.of(bias == product ? product : emit.node("Add", product, bias)));
    return true;
  }

  /** The transposition that makes tokens of a convolution's result and alone reads it. */
  private static Optional<Node> tokens(Node conv, ShapeTable facts) {
    Optional<Node> reshape = onlyReader(conv).filter(node -> node.is("Reshape"));
    Optional<Node> transpose = reshape.flatMap(MultiplyPatches::onlyReader);
    Optional<List<Long>> grid = facts.fixedShape(conv.output());
    Optional<List<Long>> flat = reshape.flatMap(node -> facts.fixedShape(node.output()));
    boolean flattens =
        grid.isPresent()
            && flat.filter(dims -> dims.size() == 3)
                .filter(dims -> dims.subList(0, SPATIAL).equals(grid.get().subList(0, SPATIAL)))
                .isPresent();
    return transpose
        .filter(node -> flattens && node.is("Transpose"))
        .filter(node -> node.intsAttribute("perm").filter(List.of(0L, 2L, 1L)::equals).isPresent());
  }

  private static Optional<Node> onlyReader(Node node) {
    List<Value.Use> uses = node.output().uses();
    return uses.size() == 1 && !node.output().isGraphOutput() && uses.get(0).index() == 0
        ? Optional.of(uses.get(0).node())
        : Optional.empty();
  }

  /** Whether the patches of a convolution neither overlap nor leave anything out. */
  private static boolean takesEachOnce(Node conv, List<Long> input, List<Long> kernel) {
    boolean plain =
        conv.intAttribute("group", 1) == 1
            && conv.stringAttribute("auto_pad", "NOTSET").equals("NOTSET")
            && all(conv, "pads", 0)
            && all(conv, "dilations", 1);
    List<Long> strides = conv.intsAttribute("strides").orElse(List.of());
    return plain
        && strides.equals(kernel)
        && IntStream.range(0, kernel.size())
            .allMatch(i -> input.get(SPATIAL + i) % kernel.get(i) == 0);
  }

  private static boolean all(Node conv, String attribute, long number) {
    return conv.intsAttribute(attribute).orElse(List.of()).stream().allMatch(n -> n == number);
  }

  private static long[] append(long[] dims, long size) {
    return LongStream.concat(LongStream.of(dims), LongStream.of(size)).toArray();
  }

  private static LongStream longs(List<Long> list) {
    return list.stream().mapToLong(Long::longValue);
  }
}
