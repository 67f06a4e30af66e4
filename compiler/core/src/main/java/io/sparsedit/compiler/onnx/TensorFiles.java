package io.sparsedit.compiler.onnx;

import ai.onnx.proto.OnnxMl.TensorProto;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.UnsafeByteOperations;
import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.ir.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/** Tensors in files of their own, as ONNX test data has them ({@code input_0.pb}). */
public final class TensorFiles {
  private TensorFiles() {}

  /** Reads a tensor; its elements stay in the mapped file. */
  public static Tensor read(Path file) {
    Source source = Source.of(file.toString());
    ByteBuffer bytes = FileBytes.map(file, source);
    TensorProto proto;
    try {
      CodedInputStream input = UnsafeByteOperations.unsafeWrap(bytes).newCodedInput();
      input.enableAliasing(true);
      proto = TensorProto.parseFrom(input);
      input.checkLastTagWas(0);
    } catch (IOException e) {
      throw source.failure("is not a tensor in ONNX's format, or it was cut off or damaged");
    }
    return Tensors.decode(proto, source);
  }

  /** Writes a tensor; replaces a file that is there. */
  public static void write(Tensor tensor, Path file) {
    TensorProto proto = Tensors.encode(tensor);
    AtomicFile.write(file, proto::writeTo);
  }
}
