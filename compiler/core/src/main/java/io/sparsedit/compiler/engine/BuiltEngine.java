package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.legal.Precision;
import java.util.List;
import java.util.Map;

/**
 * What a build gave.
 *
 * @param file the engine, in the bundle
 * @param pluginFile the plugin library, in the bundle
 * @param bytes size of the engine
 * @param gpu the GPU that it was built on and for
 * @param tensorRt the version of TensorRT
 * @param precision what became of the graph's f32
 * @param seconds how long the build took
 * @param shapes the shapes that it is tuned for, of each input with a dynamic dimension
 * @param dense attention that is left dense, which SparseDiT's kernel computes
 * @param copies layers beside plugins that only move data, a line each
 * @param warnings what TensorRT warned of, each once
 */
public record BuiltEngine(
    String file,
    String pluginFile,
    long bytes,
    String gpu,
    String tensorRt,
    Precision precision,
    double seconds,
    Map<String, List<Long>> shapes,
    List<String> dense,
    List<String> copies,
    List<String> warnings) {}
