package io.sparsedit.compiler.engine;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A program that waits for {@link ProcessEndings} until it is told to stop; prints its stages. */
final class StoppedBuild {
  private StoppedBuild() {}

  /** Arguments: the engine's temporary file. */
  public static void main(String[] arguments) {
    Path engine = Path.of(arguments[0]);
    try (EngineProcess process =
        EngineProcess.start(ProcessEndings.class.getName(), Path.of("m.onnx"), List.of(engine))) {
      EngineJob job = EngineProcessTest.job("waits", engine);
      process.build(job, EngineProcessTest.MODEL, new ArrayList<>(), System.out::println);
    }
  }
}
