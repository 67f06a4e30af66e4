/** Small programs to start from. */
@NullMarked
package io.sparsedit.examples;

import org.jspecify.annotations.NullMarked;
