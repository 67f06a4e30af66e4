/**
 * {@code sparsify-model bench}: times the steps of a bundle and the layers in them, and says what
 * of the dense model's time sparse attention saves.
 */
@NullMarked
package io.sparsedit.cli.bench;

import org.jspecify.annotations.NullMarked;
