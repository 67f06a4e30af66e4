/** What passes between Java and the presets, with JavaCPP's own native library only. */
@NullMarked
package io.sparsedit.tensorrt.presets;

import org.jspecify.annotations.NullMarked;
