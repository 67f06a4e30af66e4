/** Running models in ONNX Runtime on the CPU. The only package that sees {@code ai.onnxruntime}. */
@NullMarked
package io.sparsedit.compiler.ort;

import org.jspecify.annotations.NullMarked;
