package io.sparsedit.passes;

import io.sparsedit.passes.verify.VerificationReport;
import java.util.List;
import java.util.Optional;

/**
 * What a compilation did.
 *
 * @param inspection what was found and decided
 * @param verification what the verification measured
 * @param files the bundle's files; empty if the verification failed and nothing was written
 * @param linkedWeights whether the bundle's weights are hard links to the original's
 * @param notes what the methods made of their settings, where that is not what they say
 */
public record CompileResult(
    Inspection inspection,
    Optional<VerificationReport> verification,
    List<String> files,
    boolean linkedWeights,
    List<String> notes) {
  public CompileResult {
    notes = List.copyOf(notes);
    files = List.copyOf(files);
  }

  /** Why the verification failed; empty if it did not. */
  public List<String> failures() {
    return verification.map(VerificationReport::failures).orElse(List.of());
  }
}
