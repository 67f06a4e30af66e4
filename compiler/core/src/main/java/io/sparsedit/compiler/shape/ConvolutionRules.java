package io.sparsedit.compiler.shape;

import static io.sparsedit.compiler.shape.ShapeRules.register;
import static io.sparsedit.compiler.shape.ShapeRules.registerMicrosoft;

import io.sparsedit.compiler.ir.DataType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Convolutions, pooling and resampling. */
final class ConvolutionRules {
  private ConvolutionRules() {}

  static void addTo(Map<String, ShapeRule> table) {
    register(table, call -> convolution(call, call.type(0), 1), "Conv");
    register(table, call -> convolution(call, DataType.INT32, 1), "ConvInteger");
    register(table, call -> convolution(call, call.type(7), 3), "QLinearConv");
    registerMicrosoft(table, call -> convolution(call, call.type(0), 1), "FusedConv");
    register(table, ConvolutionRules::transposed, "ConvTranspose");
    register(table, ConvolutionRules::pool, "MaxPool", "AveragePool", "LpPool");
    register(
        table, ConvolutionRules::globalPool, "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool");
    register(table, ConvolutionRules::resize, "Resize");
    register(table, ConvolutionRules::upsample, "Upsample");
    register(table, ConvolutionRules::gridSample, "GridSample");
  }

  private static void convolution(Call call, DataType type, int weightInput) {
    call.type(0, type);
    Shape input = call.shape(0);
    Shape weight = call.shape(weightInput);
    Shape kernel =
        call.longsAttribute("kernel_shape")
            .map(Shape::of)
            .orElseGet(() -> weight.slice(2, weight.rank()));
    List<Dim> dims = new ArrayList<>(List.of(input.dim(0), weight.dim(0)));
    dims.addAll(windows(call, input, kernel, false));
    call.shape(0, new Shape(dims));
  }

  private static void pool(Call call) {
    call.type(0, call.type(0));
    call.type(1, DataType.INT64);
    Shape input = call.shape(0);
    Shape kernel =
        Shape.of(call.longsAttribute("kernel_shape").orElseThrow(() -> call.unknown("the kernel")));
    List<Dim> dims = new ArrayList<>(input.dims().subList(0, 2));
    dims.addAll(windows(call, input, kernel, call.longAttribute("ceil_mode", 0) == 1));
    call.shape(0, new Shape(dims));
    call.shape(1, new Shape(dims));
  }

  private static void globalPool(Call call) {
    call.type(0, call.type(0));
    Shape shape = call.shape(0);
    for (int i = 2; i < shape.rank(); i++) {
      shape = shape.with(i, Dim.ONE);
    }
    call.shape(0, shape);
  }

  /** How many windows fit along each spatial axis. */
  private static List<Dim> windows(Call call, Shape input, Shape kernel, boolean roundUp) {
    int axes = input.rank() - 2;
    if (kernel.rank() != axes) {
      throw call.invalid("kernel " + kernel + " does not fit input " + input);
    }
    long[] strides = call.longsAttribute("strides").orElse(ones(axes));
    long[] dilations = call.longsAttribute("dilations").orElse(ones(axes));
    long[] pads = call.longsAttribute("pads").orElse(new long[2 * axes]);
    String autoPad = call.stringAttribute("auto_pad", "NOTSET");
    List<Dim> dims = new ArrayList<>();
    for (int i = 0; i < axes; i++) {
      Dim size = input.dim(i + 2);
      if (autoPad.startsWith("SAME")) {
        dims.add(size.ceilDiv(strides[i]));
        continue;
      }
      long padding = autoPad.equals("VALID") ? 0 : pads[i] + pads[i + axes];
      Dim reach = kernel.dim(i).minus(1).times(dilations[i]).plus(1);
      Dim room = size.plus(padding).minus(reach);
      Dim steps = roundUp ? room.ceilDiv(strides[i]) : room.floorDiv(strides[i]);
      if (roundUp && padding > 0 && steps.times(strides[i]).isAtLeast(size.plus(pads[i]))) {
        // A window that would start in the padding behind the input does not count.
        steps = steps.minus(1);
      }
      dims.add(steps.plus(1));
    }
    return dims;
  }

  private static long[] ones(int count) {
    long[] ones = new long[count];
    Arrays.fill(ones, 1);
    return ones;
  }

  private static void transposed(Call call) {
    call.type(0, call.type(0));
    Shape input = call.shape(0);
    Shape weight = call.shape(1);
    int axes = input.rank() - 2;
    Shape kernel =
        call.longsAttribute("kernel_shape")
            .map(Shape::of)
            .orElseGet(() -> weight.slice(2, weight.rank()));
    long[] strides = call.longsAttribute("strides").orElse(ones(axes));
    long[] dilations = call.longsAttribute("dilations").orElse(ones(axes));
    long[] pads = call.longsAttribute("pads").orElse(new long[2 * axes]);
    long[] extra = call.longsAttribute("output_padding").orElse(new long[axes]);
    Optional<long[]> given = call.longsAttribute("output_shape");
    boolean same = call.stringAttribute("auto_pad", "NOTSET").startsWith("SAME");
    List<Dim> dims = new ArrayList<>();
    dims.add(input.dim(0));
    dims.add(weight.dim(1).times(call.longAttribute("group", 1)));
    for (int i = 0; i < axes; i++) {
      Dim size = input.dim(i + 2);
      if (given.isPresent()) {
        dims.add(Dim.of(given.get()[given.get().length - axes + i]));
      } else if (same) {
        dims.add(size.times(strides[i]));
      } else {
        dims.add(
            size.minus(1)
                .times(strides[i])
                .plus(extra[i])
                .plus(kernel.dim(i).minus(1).times(dilations[i]))
                .plus(1 - pads[i] - pads[i + axes]));
      }
    }
    call.shape(0, new Shape(dims));
  }

  // ---- Resize -----------------------------------------------------------------------------------

  private static void resize(Call call) {
    call.type(0, call.type(0));
    Shape input = call.shape(0);
    boolean old = call.opset() < 11;
    long[] axes =
        call.longsAttribute("axes")
            .orElseGet(
                () -> {
                  long[] all = new long[input.rank()];
                  Arrays.setAll(all, i -> i);
                  return all;
                });
    boolean bySizes = !old && call.has(3);
    String policy = call.stringAttribute("keep_aspect_ratio_policy", "stretch");
    if (bySizes && !policy.equals("stretch")) {
      call.shape(0, call.freshShape(0, input.rank()));
      return;
    }
    Optional<Partial> factors = call.value(bySizes ? 3 : old ? 1 : 2);
    Shape shape = input;
    for (int i = 0; i < axes.length; i++) {
      int index = i;
      int axis = call.axis(axes[i], input.rank());
      Optional<Dim> dim =
          factors
              .filter(f -> index < f.size())
              .map(f -> f.element(index))
              .map(f -> bySizes ? f : scaled(input.dim(axis), f))
              .flatMap(Scalar::dim);
      shape = shape.with(axis, dim.orElseGet(() -> call.fresh(0, axis)));
    }
    call.shape(0, shape);
  }

  private static Scalar scaled(Dim size, Scalar factor) {
    Scalar product = Arithmetic.multiply(Scalar.of(size), factor);
    return Arithmetic.truncate(Arithmetic.floor(product));
  }

  private static void upsample(Call call) {
    call.type(0, call.type(0));
    Shape shape = call.shape(0);
    Optional<Partial> factors = call.value(1);
    for (int i = 0; i < shape.rank(); i++) {
      int axis = i;
      Dim size = shape.dim(i);
      shape =
          shape.with(
              i,
              factors
                  .flatMap(f -> scaled(size, f.element(axis)).dim())
                  .orElseGet(() -> call.fresh(0, axis)));
    }
    call.shape(0, shape);
  }

  private static void gridSample(Call call) {
    call.type(0, call.type(0));
    Shape grid = call.shape(1);
    call.shape(0, call.shape(0).slice(0, 2).plus(grid.slice(1, grid.rank() - 1)));
  }
}
