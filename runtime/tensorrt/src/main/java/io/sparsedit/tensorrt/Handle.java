package io.sparsedit.tensorrt;

import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;

/** Owns one native object. Closing it twice does no harm; using it afterwards is an error. */
final class Handle implements AutoCloseable {
  private final AtomicLong address;
  private final LongConsumer delete;
  private final String what;

  /**
   * Takes an object over.
   *
   * @param what what it is, for messages
   */
  Handle(long address, LongConsumer delete, String what) {
    this.address = new AtomicLong(address);
    this.delete = delete;
    this.what = what;
  }

  /** The object's address. */
  long address() {
    long value = address.get();
    if (value == 0) {
      throw new IllegalStateException("the " + what + " is closed");
    }
    return value;
  }

  @Override
  public void close() {
    long value = address.getAndSet(0);
    if (value != 0) {
      delete.accept(value);
    }
  }
}
