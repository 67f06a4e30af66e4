@NullMarked
package io.sparsedit.passes.drawing;

import org.jspecify.annotations.NullMarked;
