@NullMarked
package io.sparsedit.passes.functions;

import org.jspecify.annotations.NullMarked;
