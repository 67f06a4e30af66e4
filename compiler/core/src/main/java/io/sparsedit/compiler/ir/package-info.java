/**
 * The compiler's own graph representation of an ONNX model.
 *
 * <p>A {@link io.sparsedit.compiler.ir.Model} has one main {@link io.sparsedit.compiler.ir.Graph}
 * and model-local {@link io.sparsedit.compiler.ir.Function}s. A graph is a list of {@link
 * io.sparsedit.compiler.ir.Node}s in topological order over {@link
 * io.sparsedit.compiler.ir.Value}s, each assigned once. A value knows its producer and its uses;
 * nodes of a subgraph refer to values of the enclosing graph directly (outer-scope capture).
 *
 * <p>What the representation does not model (unknown fields, documentation of attributes, training
 * information and the like) is carried along encoded in {@link io.sparsedit.compiler.ir.Extras}, so
 * that reading and writing a model loses nothing.
 */
@NullMarked
package io.sparsedit.compiler.ir;

import org.jspecify.annotations.NullMarked;
