/** Tests of what comes before TensorRT, and after it. */
@NullMarked
package io.sparsedit.compiler.engine;

import org.jspecify.annotations.NullMarked;
