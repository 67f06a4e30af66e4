package io.sparsedit.passes;

import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.shape.Dim;
import java.util.List;

/** Dimensions as a model declares them, from what is known of them. */
final class DeclaredDims {
  private DeclaredDims() {}

  /** A number where it is one, the expression otherwise. */
  static DeclaredDim of(Dim dim) {
    return dim.constant().isPresent()
        ? new DeclaredDim.Fixed(dim.constant().getAsLong())
        : new DeclaredDim.Named(dim.toString());
  }

  /** The same for a whole shape. */
  static List<DeclaredDim> of(List<Dim> dims) {
    return dims.stream().map(DeclaredDims::of).toList();
  }
}
