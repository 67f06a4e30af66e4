/**
 * {@code io.sparsedit.tensorrt.calls} through the JavaCPP presets. Only {@code PresetLoader} loads
 * these classes, and the presets with them; nothing else may refer to them.
 *
 * <p>The presets' typed pointers are made around an address for one call and own nothing: the owner
 * is who holds the address. What they allocate themselves is closed in the same method, but for the
 * logger, which lives as long as the process.
 */
@NullMarked
package io.sparsedit.tensorrt.presets;

import org.jspecify.annotations.NullMarked;
