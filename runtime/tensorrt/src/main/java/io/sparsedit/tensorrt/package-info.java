/**
 * TensorRT and CUDA, as far as SparseDiT needs them to build and to run an engine.
 *
 * <p>Both are called through the JavaCPP presets, which {@code PresetLoader} keeps apart from the
 * application's classes, and what those lack through SparseDiT's plugin library ({@code
 * libsparsedit_plugins.so}). Nothing of it is loaded before it is asked for: an application without
 * a GPU never notices it. The way in is {@link io.sparsedit.tensorrt.PluginLibrary#load}, then
 * {@link io.sparsedit.tensorrt.PluginLibrary#requireGpu}, then {@link
 * io.sparsedit.tensorrt.PluginLibrary#openTensorRt}; each says what is missing before the next
 * could fail in a worse way.
 *
 * <p>Everything native is an {@code AutoCloseable} that owns it. Nothing here is meant for
 * applications: they use {@code io.sparsedit.runtime} and {@code sparsify-model}.
 */
@NullMarked
package io.sparsedit.tensorrt;

import org.jspecify.annotations.NullMarked;
