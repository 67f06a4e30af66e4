@NullMarked
package io.sparsedit.passes.verify;

import org.jspecify.annotations.NullMarked;
