/** The {@code sparsify-model} command line. */
@NullMarked
package io.sparsedit.cli;

import org.jspecify.annotations.NullMarked;
