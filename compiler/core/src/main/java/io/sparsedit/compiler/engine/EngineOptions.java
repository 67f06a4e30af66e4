package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.legal.DenseAttention;
import io.sparsedit.compiler.legal.Precision;
import java.nio.file.Path;
import java.util.Optional;

/**
 * How an engine is built.
 *
 * @param pluginLibrary the plugin library
 * @param range the sizes that it takes, of a model with dynamic ones
 * @param precision what becomes of the graph's f32
 * @param attention who computes attention that is left dense
 * @param dense whether every site is dense: an engine to compare the sparse one with
 * @param tf32 whether f32 matrix products may round their inputs to TF32
 * @param level TensorRT's optimisation level from 0 to 5, or -1 for its default
 * @param auxiliaryStreams streams beside the main one that TensorRT may use, or -1 for its default
 * @param timingCache the file that keeps timings from build to build; empty: none is kept
 * @param layers the file that gets TensorRT's description of the engine's layers; empty: none
 */
public record EngineOptions(
    Path pluginLibrary,
    InputRange range,
    Precision precision,
    DenseAttention attention,
    boolean dense,
    boolean tf32,
    int level,
    int auxiliaryStreams,
    Optional<Path> timingCache,
    Optional<Path> layers) {}
