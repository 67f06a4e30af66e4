/**
 * TensorRT and CUDA, as far as SparseDiT needs them to build and to run an engine.
 *
 * <p>The native methods are in SparseDiT's plugin library ({@code libsparsedit_plugins.so}), which
 * finds TensorRT's own libraries when it is told to: this module has no dependency, and an
 * application without a GPU never notices it. The way in is {@link
 * io.sparsedit.tensorrt.PluginLibrary#load}, then {@link
 * io.sparsedit.tensorrt.PluginLibrary#requireGpu}, then {@link
 * io.sparsedit.tensorrt.PluginLibrary#openTensorRt}; each says what is missing before the next
 * could fail in a worse way.
 *
 * <p>Everything native is an {@code AutoCloseable} that owns it. Nothing here is meant for
 * applications: they use {@code io.sparsedit.runtime} and {@code sparsify-model}.
 */
@NullMarked
package io.sparsedit.tensorrt;

import org.jspecify.annotations.NullMarked;
