/** Tests of what needs no GPU. */
@NullMarked
package io.sparsedit.tensorrt;

import org.jspecify.annotations.NullMarked;
