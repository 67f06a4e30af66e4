package io.sparsedit.compiler.onnx;

import ai.onnx.proto.OnnxMl.ModelProto;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.UnsafeByteOperations;
import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Reads ONNX files.
 *
 * <p>The file is mapped into memory; tensors stored in it stay there. External data is checked for
 * being there, not read. A bad file ends in a {@link SparsifyException} that names the file and,
 * where there is one, the node.
 */
public final class OnnxReader {
  private OnnxReader() {}

  /** Reads a model and checks that its external data is there and long enough. */
  public static Model read(Path file) {
    return read(file, true);
  }

  /** Reads a model whose external data may be absent: enough to look at the graph. */
  public static Model readGraph(Path file) {
    return read(file, false);
  }

  /**
   * A model from its bytes, which must not change afterwards.
   *
   * @param description what error messages call it
   */
  public static Model fromBytes(byte[] bytes, String description) {
    Source source = Source.of(description);
    return decode(ByteBuffer.wrap(bytes), source);
  }

  private static Model read(Path file, boolean withData) {
    Source source = Source.of(file.toString());
    Model model = decode(FileBytes.map(file, source), source);
    model.setSource(file);
    if (withData) {
      ExternalData.of(model).check(model);
    }
    return model;
  }

  private static Model decode(ByteBuffer bytes, Source source) {
    Model model = new ModelDecoder(source).decode(parse(bytes, source));
    List<String> problems = GraphVerifier.problems(model);
    if (!problems.isEmpty()) {
      throw source.failure(problems.get(0));
    }
    return model;
  }

  /** The message in the buffer; its byte fields are slices of the buffer. */
  static ModelProto parse(ByteBuffer bytes, Source source) {
    Optional<String> otherKind = FileBytes.otherKind(bytes);
    if (otherKind.isPresent()) {
      throw source.failure(otherKind.get());
    }
    try {
      CodedInputStream input = UnsafeByteOperations.unsafeWrap(bytes).newCodedInput();
      input.enableAliasing(true);
      ModelProto proto = ModelProto.parseFrom(input);
      input.checkLastTagWas(0);
      return proto;
    } catch (InvalidProtocolBufferException e) {
      if (String.valueOf(e.getMessage()).contains("levels of nesting")) {
        throw source.failure("nests subgraphs or types deeper than any exporter does; not read");
      }
      throw source.failure(
          "is not an ONNX model, or it was cut off or damaged (it does not parse as protobuf);"
              + " export or download it again");
    } catch (IOException e) {
      throw source.failure("cannot be read: " + AtomicFile.reason(e));
    }
  }
}
