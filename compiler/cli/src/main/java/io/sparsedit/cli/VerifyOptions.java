package io.sparsedit.cli;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Options of a verification. */
final class VerifyOptions {
  @Option(
      names = "--verify",
      paramLabel = "HOW",
      defaultValue = "full",
      description = {
        "full: both whole models, and every site on its own q, k, v (default).",
        "sites: every distinct site alone at reduced tokens; also what full does when it estimates"
            + " more than 2 minutes or 4 GB, and says so.",
        "none: nothing."
      })
  private VerifyMode mode = VerifyMode.FULL;

  @Option(
      names = "--inputs",
      paramLabel = "DIR",
      description =
          "Inputs to verify on: NAME.pb or input_0.pb, input_1.pb... (ONNX TensorProto). Default:"
              + " seeded random ones.")
  private @Nullable Path inputs;

  @Option(
      names = "--max-error",
      paramLabel = "E",
      description =
          "Fail (exit code 3) if an output's relative L1 error with the chosen settings is above"
              + " this. Without it only the run with everything kept can fail.")
  private @Nullable Double maxError;

  /**
   * What the user asks for.
   *
   * @throws SparsifyException if the options contradict each other, or the inputs are no folder
   */
  VerifyRequest toRequest() {
    VerifyRequest request =
        new VerifyRequest(mode, Optional.ofNullable(inputs), Optional.ofNullable(maxError));
    if (inputs != null && !Files.isDirectory(inputs)) {
      throw SparsifyException.failure(
          "cannot read the inputs in " + inputs + ": it must be a folder of .pb files");
    }
    return request;
  }
}
