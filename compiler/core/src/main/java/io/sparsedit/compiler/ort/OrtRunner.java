package io.sparsedit.compiler.ort;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A model loaded into ONNX Runtime on the CPU.
 *
 * <p>Closing it frees the model's memory. One runner may be used by one thread at a time.
 */
public final class OrtRunner implements AutoCloseable {
  private final OrtEnvironment environment;
  private final OrtSession session;
  private final String description;
  private final Duration limit;

  private OrtRunner(
      OrtEnvironment environment, OrtSession session, String description, Duration limit) {
    this.environment = environment;
    this.session = session;
    this.description = description;
    this.limit = limit;
  }

  /** Loads a model file; external data is found next to it. */
  public static OrtRunner load(Path file, OrtOptions options) {
    if (!options.fetch().isEmpty()) {
      return load(OnnxReader.readGraph(file), options);
    }
    return open(
        file.toString(),
        options,
        (environment, settings) -> environment.createSession(file.toString(), settings));
  }

  /**
   * Loads a model from memory; external data is found next to the file it was read from.
   *
   * <p>Of {@link OrtOptions#fetch} the values that are not outputs are made outputs.
   */
  public static OrtRunner load(Model model, OrtOptions options) {
    List<Value> extra = new ArrayList<>();
    for (String name : options.fetch()) {
      Value value =
          model
              .graph()
              .value(name)
              .orElseThrow(
                  () -> new IllegalArgumentException("the model has no value '" + name + "'"));
      if (!model.graph().outputs().contains(value)) {
        extra.add(value);
      }
    }
    byte[] bytes = OnnxWriter.toBytes(model, extra);
    return open(
        model.source().map(Path::toString).orElse("model '" + model.graph().name() + "'"),
        options,
        (environment, settings) -> {
          if (model.source().isPresent()) {
            Path folder = model.source().get().toAbsolutePath().getParent();
            settings.addConfigEntry(
                "session.model_external_initializers_file_folder_path", String.valueOf(folder));
          }
          return environment.createSession(bytes, settings);
        });
  }

  /** Loads a model with default options. */
  public static OrtRunner load(Model model) {
    return load(model, OrtOptions.DEFAULT);
  }

  /** Runs a model once. */
  public static Map<String, Tensor> run(Model model, Map<String, Tensor> inputs) {
    try (OrtRunner runner = load(model)) {
      return runner.run(inputs);
    }
  }

  /** Names of the inputs that have to be given. */
  public Set<String> inputNames() {
    return session.getInputNames();
  }

  /** Names of the outputs. */
  public Set<String> outputNames() {
    return session.getOutputNames();
  }

  /** Runs the model; all its outputs in the model's order. */
  public Map<String, Tensor> run(Map<String, Tensor> inputs) {
    return run(inputs, session.getOutputNames());
  }

  /**
   * Runs the model for some of its outputs, which come in the given order.
   *
   * @throws SparsifyException if inputs do not fit, or the run fails or takes longer than {@link
   *     OrtOptions#limit}
   */
  public Map<String, Tensor> run(Map<String, Tensor> inputs, Set<String> outputs) {
    requireInputs(inputs.keySet());
    Map<String, OnnxTensor> given = new LinkedHashMap<>();
    try {
      for (Map.Entry<String, Tensor> input : inputs.entrySet()) {
        given.put(
            input.getKey(),
            OrtTensors.toOrt(environment, input.getKey(), input.getValue(), description));
      }
      Map<String, Tensor> results = new LinkedHashMap<>();
      try (OrtSession.Result result = runWatched(given, outputs)) {
        for (Map.Entry<String, OnnxValue> entry : result) {
          results.put(
              entry.getKey(), OrtTensors.fromOrt(entry.getKey(), entry.getValue(), description));
        }
      }
      return results;
    } catch (OrtException e) {
      throw failure(description, "ONNX Runtime cannot run the model", e);
    } finally {
      given.values().forEach(OnnxTensor::close);
    }
  }

  private OrtSession.Result runWatched(Map<String, OnnxTensor> inputs, Set<String> outputs)
      throws OrtException {
    try (RunLimit watch = new RunLimit(limit)) {
      try {
        return session.run(inputs, outputs, watch.options());
      } catch (OrtException e) {
        if (watch.isReached()) {
          throw new SparsifyException(
              SparsifyException.Kind.FAILURE,
              "%s: one run in ONNX Runtime took longer than %d seconds and was stopped: the model has a loop without an end, or is too large for this machine"
                  .formatted(description, limit.toSeconds()),
              e);
        }
        throw e;
      }
    }
  }

  private void requireInputs(Set<String> given) {
    Set<String> expected = session.getInputNames();
    for (String name : given) {
      if (!expected.contains(name)) {
        throw SparsifyException.failure(
            "%s: the model has no input '%s', only %s".formatted(description, name, expected));
      }
    }
    for (String name : expected) {
      if (!given.contains(name)) {
        throw SparsifyException.failure(description + ": input '" + name + "' is not given");
      }
    }
  }

  @Override
  public void close() {
    try {
      session.close();
    } catch (OrtException e) {
      throw failure(description, "ONNX Runtime cannot release the model", e);
    }
  }

  private interface Opener {
    OrtSession open(OrtEnvironment environment, SessionOptions settings) throws OrtException;
  }

  private static OrtRunner open(String description, OrtOptions options, Opener opener) {
    // The environment is one per process and lives as long as it.
    OrtEnvironment environment = environment();
    try (SessionOptions settings = new SessionOptions()) {
      settings.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
      settings.setOptimizationLevel(
          switch (options.optimisation()) {
            case NONE -> SessionOptions.OptLevel.NO_OPT;
            case BASIC -> SessionOptions.OptLevel.BASIC_OPT;
            case ALL -> SessionOptions.OptLevel.ALL_OPT;
          });
      settings.setDeterministicCompute(options.deterministic());
      if (options.threads() > 0) {
        settings.setIntraOpNumThreads(options.threads());
      }
      return new OrtRunner(
          environment, opener.open(environment, settings), description, options.limit());
    } catch (OrtException e) {
      throw failure(description, "ONNX Runtime cannot load the model", e);
    }
  }

  private static OrtEnvironment environment() {
    try {
      return OrtEnvironment.getEnvironment();
    } catch (LinkageError e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          "ONNX Runtime cannot be loaded ("
              + e.getMessage()
              + "). It unpacks its library into the temporary folder "
              + System.getProperty("java.io.tmpdir")
              + ": free some space there, or name another one with"
              + " SPARSIFY_JAVA_OPTS=-Djava.io.tmpdir=DIR.",
          e);
    }
  }

  private static SparsifyException failure(String description, String what, OrtException e) {
    return new SparsifyException(
        SparsifyException.Kind.FAILURE,
        description + ": " + what + ": " + OrtMessages.reason(String.valueOf(e.getMessage())),
        e);
  }
}
