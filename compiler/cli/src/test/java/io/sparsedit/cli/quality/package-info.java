/** Tests of the sweeps. */
@NullMarked
package io.sparsedit.cli.quality;

import org.jspecify.annotations.NullMarked;
