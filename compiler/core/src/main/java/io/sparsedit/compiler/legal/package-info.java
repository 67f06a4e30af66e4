/**
 * Writes a model with operators that TensorRT's ONNX parser takes. One pass per file, one ordered
 * list in {@link io.sparsedit.compiler.legal.Legalisation}; nothing here needs TensorRT.
 */
@NullMarked
package io.sparsedit.compiler.legal;

import org.jspecify.annotations.NullMarked;
