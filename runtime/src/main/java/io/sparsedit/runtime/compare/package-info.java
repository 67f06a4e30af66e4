/** Two back ends on the same bundle, step by step. */
@NullMarked
package io.sparsedit.runtime.compare;

import org.jspecify.annotations.NullMarked;
