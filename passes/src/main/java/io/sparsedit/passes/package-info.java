/**
 * The passes that know Diffusion Transformers, and {@link io.sparsedit.passes.Pipeline}, which
 * lists them in order.
 */
@NullMarked
package io.sparsedit.passes;

import org.jspecify.annotations.NullMarked;
