/** Tests of the benchmark. */
@NullMarked
package io.sparsedit.cli.bench;

import org.jspecify.annotations.NullMarked;
