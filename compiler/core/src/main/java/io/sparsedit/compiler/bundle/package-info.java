/** The folder that a compilation leaves. */
@NullMarked
package io.sparsedit.compiler.bundle;

import org.jspecify.annotations.NullMarked;
