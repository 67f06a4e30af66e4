/** Builds TensorRT engines of compiled models. */
@NullMarked
package io.sparsedit.compiler.engine;

import org.jspecify.annotations.NullMarked;
