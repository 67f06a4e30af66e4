package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import io.sparsedit.passes.functions.SparseOps;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Frames, height and width as a tensor of a graph.
 *
 * <pre>
 *   fixed      geometry = [21, 45, 80]
 *   symbolic   geometry = Cast(Concat(Gather(Shape(x), 2), Gather(Shape(patches), 3), ...))
 * </pre>
 */
final class GeometryTensor {
  private GeometryTensor() {}

  /** The extents that a graph cannot compute before the node. */
  static List<Dim> notComputable(VideoGeometry video, Node before, ValueFacts facts) {
    return extents(video).stream()
        .filter(d -> !d.isConstant() && SizeSource.find(d, before, facts).isEmpty())
        .toList();
  }

  private static List<Dim> extents(VideoGeometry video) {
    return List.of(video.frames(), video.height(), video.width());
  }

  /** The tensor, int32[3], computed before the node where it must be. */
  static Value add(VideoGeometry video, Node before, ValueFacts facts) {
    Graph graph = before.graph();
    if (extents(video).stream().allMatch(Dim::isConstant)) {
      int[] sizes =
          extents(video).stream()
              .mapToInt(d -> Math.toIntExact(d.constant().orElseThrow()))
              .toArray();
      return graph.addConstant(SparseOps.GEOMETRY, Tensor.ofInts(new long[] {3}, sizes));
    }
    List<Value> sizes = new ArrayList<>();
    for (Dim extent : extents(video)) {
      Optional<SizeSource> source = SizeSource.find(extent, before, facts);
      sizes.add(
          extent.isConstant()
              ? graph.addConstant("extent", Tensor.vector(extent.constant().getAsLong()))
              : source.orElseThrow().compute(before));
    }
    Node concat = graph.insertBefore(before, "", "Concat", "", sizes);
    concat.setAttribute("axis", 0);
    Value all = concat.addOutput(graph.freshName("extents"));
    Node cast = graph.insertBefore(before, "", "Cast", "", List.of(all));
    cast.setAttribute("to", DataType.INT32.code());
    Value geometry = cast.addOutput(graph.freshName(SparseOps.GEOMETRY));
    geometry.setType(ValueType.TensorType.of(DataType.INT32, 3));
    return geometry;
  }
}
