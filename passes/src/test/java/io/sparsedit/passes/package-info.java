@NullMarked
package io.sparsedit.passes;

import org.jspecify.annotations.NullMarked;
