/**
 * What a program needs around a {@link io.sparsedit.runtime.Session} to sample from a flow-matching
 * model and to say how near two samples are: noise levels, the Euler loop, PSNR and SSIM.
 *
 * <p>Nothing in the runtime depends on it. A service that has its own sampler leaves it alone.
 */
@NullMarked
package io.sparsedit.runtime.sampling;

import org.jspecify.annotations.NullMarked;
