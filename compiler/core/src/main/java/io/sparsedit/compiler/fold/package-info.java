/** Constant folding: what can be computed before a run is computed once, by ONNX Runtime. */
@NullMarked
package io.sparsedit.compiler.fold;

import org.jspecify.annotations.NullMarked;
