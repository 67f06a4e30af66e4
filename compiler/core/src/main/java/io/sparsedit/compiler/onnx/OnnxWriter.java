package io.sparsedit.compiler.onnx;

import ai.onnx.proto.OnnxMl.ModelProto;
import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Value;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;

/**
 * Writes ONNX files.
 *
 * <p>A file appears under its name only when it is complete. External data is referred to, not
 * written; see {@link WeightFiles}.
 */
public final class OnnxWriter {
  private OnnxWriter() {}

  /** Writes the model; replaces a file that is there, even the one the model was read from. */
  public static void write(Model model, Path file) {
    ModelProto proto = ModelEncoder.encode(model, List.of());
    AtomicFile.write(file, proto::writeTo);
  }

  /** The model in its file format. */
  public static byte[] toBytes(Model model) {
    return toBytes(model, List.of());
  }

  /**
   * The model in its file format with additional outputs.
   *
   * @param extraOutputs values of the main graph that are not outputs yet
   */
  public static byte[] toBytes(Model model, Collection<Value> extraOutputs) {
    return ModelEncoder.encode(model, extraOutputs).toByteArray();
  }
}
