package io.sparsedit.passes.verify;

import io.sparsedit.compiler.SparsifyException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What the user asks of a verification.
 *
 * @param mode how much it runs
 * @param inputs folder with inputs, or empty for seeded random ones
 * @param maxError largest relative L1 error of an output with the chosen settings, if that matters
 */
public record VerifyRequest(VerifyMode mode, Optional<Path> inputs, Optional<Double> maxError) {
  public VerifyRequest {
    if (maxError.isPresent() && !(maxError.get() >= 0)) {
      throw SparsifyException.usage("--max-error must not be negative");
    }
    if (maxError.isPresent() && mode == VerifyMode.NONE) {
      throw SparsifyException.usage("--max-error needs a verification: leave out --verify none");
    }
    if (inputs.isPresent() && mode != VerifyMode.FULL) {
      throw SparsifyException.usage(
          "--inputs are for whole models: leave out --verify " + mode.label());
    }
  }
}
