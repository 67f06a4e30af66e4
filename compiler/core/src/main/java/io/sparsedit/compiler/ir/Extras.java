package io.sparsedit.compiler.ir;

/**
 * Fields of an ONNX message that the graph representation does not model, kept in their encoded
 * form and written back unchanged.
 */
public final class Extras {
  /** No extra fields. */
  public static final Extras NONE = new Extras(new byte[0]);

  private final byte[] encoded;

  /** Extra fields from the encoded form of a message that holds them and nothing else. */
  public Extras(byte[] encoded) {
    this.encoded = encoded.clone();
  }

  /** The encoded message. */
  public byte[] encoded() {
    return encoded.clone();
  }

  /** Whether there is nothing to keep. */
  public boolean isEmpty() {
    return encoded.length == 0;
  }
}
