/**
 * Runs compiled bundles.
 *
 * <p>{@link io.sparsedit.runtime.Model#load} opens a bundle, {@link
 * io.sparsedit.runtime.Model#newSession(Schedule)} starts one denoising request on it, {@link
 * io.sparsedit.runtime.Session#run(int, int, java.util.Map, java.util.Map)} runs one step of it.
 * Everything that the caller can do something about is thrown as a {@link
 * io.sparsedit.runtime.SparseDitException}.
 */
@NullMarked
package io.sparsedit.runtime;

import org.jspecify.annotations.NullMarked;
