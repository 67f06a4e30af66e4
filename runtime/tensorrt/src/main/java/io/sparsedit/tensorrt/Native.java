package io.sparsedit.tensorrt;

import java.nio.ByteBuffer;

/**
 * The native methods, in {@code plugins-cuda/jni/native.cpp}: each does one call. A {@code long} is
 * the address of an object; a failed call throws {@link TensorRtException}.
 */
final class Native {
  private Native() {}

  // CUDA. deviceCount is minus CUDA's error code where it fails.
  static native int deviceCount();

  static native String cudaErrorText(int code);

  static native void pluginVersion(ByteBuffer memory);

  static native String deviceName(int device);

  static native int deviceCapability(int device);

  static native long[] memoryInfo();

  static native long allocate(long bytes);

  static native void free(long memory);

  static native ByteBuffer allocatePinned(long bytes);

  static native void freePinned(ByteBuffer memory);

  static native void clear(long memory, long bytes, long stream);

  static native void copyToDevice(long to, ByteBuffer from, long bytes, long stream);

  static native void copyToHost(ByteBuffer to, long from, long bytes, long stream);

  static native long newStream();

  static native void deleteStream(long stream);

  static native void synchronize(long stream);

  static native void beginCapture(long stream);

  static native long endCapture(long stream);

  static native void launchGraph(long graph, long stream);

  static native void deleteGraph(long graph);

  // TensorRT.
  static native int openTensorRt(String folder);

  static native void openParser(String folder);

  static native String[] takeMessages();

  // An engine, and running it.
  static native long newRuntime();

  static native void deleteRuntime(long runtime);

  static native long loadEngine(long runtime, String path);

  static native void deleteEngine(long engine);

  static native int tensorCount(long engine);

  static native String tensorName(long engine, int index);

  static native int tensorMode(long engine, String name);

  static native int tensorType(long engine, String name);

  static native int tensorLocation(long engine, String name);

  static native long[] tensorShape(long engine, String name);

  static native long[] profileShape(long engine, String name, int selector);

  static native String layers(long engine, long context);

  static native long newContext(long engine);

  static native void deleteContext(long context);

  static native void setInputShape(long context, String name, long[] shape);

  static native long[] contextShape(long context, String name);

  static native void setAddress(long context, String name, long address);

  static native void enqueue(long context, long stream);

  static native long newLayerTimes(long context);

  static native String takeLayerTimes(long times);

  static native void deleteLayerTimes(long times);

  // Building an engine.
  static native long newBuilder();

  static native void deleteBuilder(long builder);

  static native long newNetwork(long builder);

  static native void deleteNetwork(long network);

  static native long newConfig(long builder);

  static native void deleteConfig(long config);

  static native long newParser(long network);

  static native void deleteParser(long parser);

  static native void parse(long parser, ByteBuffer model, long bytes, String path);

  static native int inputCount(long network);

  static native String inputName(long network, int index);

  static native long[] inputShape(long network, int index);

  static native long newProfile(long builder);

  static native void setProfileShape(long profile, String name, int selector, long[] shape);

  static native void addProfile(long config, long profile);

  static native void configure(
      long config, boolean tf32, boolean detailed, int level, long workspaceBytes);

  static native long useTimingCache(long config, byte[] content);

  static native void deleteTimingCache(long cache);

  static native byte[] timingCacheContent(long config);

  static native long newProgress(long config);

  static native void deleteProgress(long progress);

  static native String progress(long progress);

  static native void cancel(long progress);

  static native long build(long builder, long network, long config, String path);
}
