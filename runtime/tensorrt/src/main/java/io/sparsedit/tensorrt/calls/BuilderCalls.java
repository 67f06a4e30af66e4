package io.sparsedit.tensorrt.calls;

import io.sparsedit.tensorrt.IoTensor;
import java.nio.ByteBuffer;
import java.util.List;

/**
 * TensorRT as it builds engines. A {@code long} is the address of one of its objects, which who
 * asked for it owns. A failed call throws {@code TensorRtException} with what TensorRT logged.
 */
public interface BuilderCalls {
  /** What builds engines; only where CUDA works, or the process ends. */
  long newBuilder();

  /** A strongly typed network. */
  long newNetwork(long builder);

  /** How it is built. */
  long newConfig(long builder);

  /** Sets who is told how far the build is. */
  void setProgressMonitor(long config, long monitor);

  /** What reads ONNX models into a network. */
  long newParser(long network);

  /**
   * Reads a model.
   *
   * @param model direct; must not change until the parser is deleted
   * @param path the file it stands for
   */
  void parse(long parser, ByteBuffer model, String path);

  /** The network's inputs. */
  List<IoTensor> inputs(long network);

  /** An optimisation profile; the builder owns it. */
  long newProfile(long builder);

  /** Sets the shapes of one input. */
  void setProfileShapes(
      long profile, String input, List<Long> smallest, List<Long> usual, List<Long> largest);

  /** Adds a profile. */
  void addProfile(long config, long profile);

  /** Sets how it is built; numbers below 0 and a workspace of 0 leave TensorRT's defaults. */
  void configure(
      long config,
      boolean tf32,
      boolean detailed,
      int level,
      int auxiliaryStreams,
      long workspaceBytes);

  /**
   * A timing cache for a configuration, from its serialised form; 0 if TensorRT does not take it.
   */
  long newTimingCache(long config, byte[] content);

  /** Whether the configuration took it. */
  boolean setTimingCache(long config, long cache);

  /** Host memory with the serialised form of the configuration's timing cache; 0 if it has none. */
  long serializedTimingCache(long config);

  /** Host memory with the engine. */
  long build(long builder, long network, long config);

  /** Bytes of host memory. */
  long size(long hostMemory);

  /** A part of host memory, which must not be used once that is deleted. */
  ByteBuffer part(long hostMemory, long offset, int bytes);
}
