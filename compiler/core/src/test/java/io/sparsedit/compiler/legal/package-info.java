/** Tests of legalisation, in ONNX Runtime before and after. */
@NullMarked
package io.sparsedit.compiler.legal;

import org.jspecify.annotations.NullMarked;
