/**
 * {@code sparsify-model quality}: denoising runs by many settings of the methods, and how near each
 * comes to the dense run.
 */
@NullMarked
package io.sparsedit.cli.quality;

import org.jspecify.annotations.NullMarked;
