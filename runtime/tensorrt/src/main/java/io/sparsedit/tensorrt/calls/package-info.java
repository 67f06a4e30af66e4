/**
 * The calls of CUDA and TensorRT that this module needs, as the JavaCPP presets make them. The
 * presets live in a class loader of their own, so nothing of theirs crosses this boundary.
 */
@NullMarked
package io.sparsedit.tensorrt.calls;

import org.jspecify.annotations.NullMarked;
