/**
 * The SparseDiT operators as portable ONNX functions: what each operator computes, in standard
 * operators only.
 *
 * <p>A function body is the executable specification of its operator. ONNX Runtime runs it, CUDA
 * kernels are tested against it, and it is itself tested against NumPy references ({@code
 * testdata/golden}). {@link io.sparsedit.passes.functions.BlockSparseAttention} executes any plan;
 * a method is a {@link io.sparsedit.passes.functions.Planner}, which makes one. A new method adds
 * two files here: its planner's record (attributes, inputs, outputs, state) and its function body.
 *
 * <p>Bodies are written with {@link io.sparsedit.passes.functions.Ops}, a thin layer over the graph
 * representation. Shapes stay dynamic inside a body; what a body cannot decide at run time (layout,
 * optional inputs, where text stands) selects one of several <em>overloads</em> of the function.
 */
@NullMarked
package io.sparsedit.passes.functions;

import org.jspecify.annotations.NullMarked;
