/**
 * Reading and writing ONNX files. The only package that sees protobuf and the ONNX messages.
 *
 * <p>Reading and writing an untouched model loses nothing. What the graph representation does not
 * model goes into {@link io.sparsedit.compiler.ir.Extras}: the encoded message with only those
 * fields, into which the encoder puts the modelled ones. A field that is spelled out with its
 * default value (a node whose name is set, to the empty string) counts as not modelled, because the
 * representation cannot tell it from an absent one. Where a field is modelled but its spelling is
 * not (the order of {@code external_data} keys), the original is kept and used for as long as it
 * still says the same as the representation.
 */
@NullMarked
package io.sparsedit.compiler.onnx;

import org.jspecify.annotations.NullMarked;
