package io.sparsedit.tensorrt;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;

/** Writes the class file of {@code public final class NAME {}}, by JVMS chapter 4. */
final class EmptyClass {
  private static final int MAGIC = 0xCAFEBABE;
  private static final int JAVA_8 = 52;
  private static final int UTF8 = 1;
  private static final int CLASS = 7;
  private static final int PUBLIC_FINAL_SUPER = 0x0031;

  private EmptyClass() {}

  /** The bytes for a binary name, as in {@code org.example.Name}. */
  static byte[] named(String name) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (DataOutputStream out = new DataOutputStream(bytes)) {
      out.writeInt(MAGIC);
      out.writeShort(0);
      out.writeShort(JAVA_8);
      out.writeShort(5); // constants, and one
      out.writeByte(UTF8);
      out.writeUTF(name.replace('.', '/'));
      out.writeByte(CLASS);
      out.writeShort(1);
      out.writeByte(UTF8);
      out.writeUTF("java/lang/Object");
      out.writeByte(CLASS);
      out.writeShort(3);
      out.writeShort(PUBLIC_FINAL_SUPER);
      out.writeShort(2); // this class
      out.writeShort(4); // its superclass
      out.writeLong(0); // no interfaces, fields, methods, attributes: two bytes each
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return bytes.toByteArray();
  }
}
