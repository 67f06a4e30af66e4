package io.sparsedit.tensorrt.presets;

import io.sparsedit.tensorrt.IoTensor;
import io.sparsedit.tensorrt.TensorRtException;
import io.sparsedit.tensorrt.calls.BuilderCalls;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.tensorrt.global.nvinfer;
import org.bytedeco.tensorrt.global.nvinfer.BuilderFlag;
import org.bytedeco.tensorrt.global.nvinfer.MemoryPoolType;
import org.bytedeco.tensorrt.global.nvinfer.NetworkDefinitionCreationFlag;
import org.bytedeco.tensorrt.global.nvinfer.OptProfileSelector;
import org.bytedeco.tensorrt.global.nvinfer.ProfilingVerbosity;
import org.bytedeco.tensorrt.global.nvonnxparser;
import org.bytedeco.tensorrt.nvinfer.Dims64;
import org.bytedeco.tensorrt.nvinfer.IBuilder;
import org.bytedeco.tensorrt.nvinfer.IBuilderConfig;
import org.bytedeco.tensorrt.nvinfer.IHostMemory;
import org.bytedeco.tensorrt.nvinfer.INetworkDefinition;
import org.bytedeco.tensorrt.nvinfer.IOptimizationProfile;
import org.bytedeco.tensorrt.nvinfer.IProgressMonitor;
import org.bytedeco.tensorrt.nvinfer.ITensor;
import org.bytedeco.tensorrt.nvinfer.ITimingCache;
import org.bytedeco.tensorrt.nvonnxparser.IParser;
import org.bytedeco.tensorrt.nvonnxparser.IParserError;

/** Building engines through the presets {@code nvinfer} and {@code nvonnxparser}. */
public final class PresetBuilder implements BuilderCalls {
  private final PresetTensorRt tensorRt;

  /** Loads the parser's native library. */
  public PresetBuilder(PresetTensorRt tensorRt) {
    this.tensorRt = tensorRt;
    if (nvonnxparser.getNvOnnxParserVersion() <= 0) {
      throw TensorRtException.failed("TensorRT's ONNX parser has no version");
    }
  }

  private static IBuilder builder(long address) {
    return new IBuilder(new Address(address));
  }

  private static IBuilderConfig config(long address) {
    return new IBuilderConfig(new Address(address));
  }

  private static INetworkDefinition network(long address) {
    return new INetworkDefinition(new Address(address));
  }

  private static IParser parser(long address) {
    return new IParser(new Address(address));
  }

  private static IHostMemory hostMemory(long address) {
    return new IHostMemory(new Address(address));
  }

  @Override
  public long newBuilder() {
    return tensorRt.created(
        () -> nvinfer.createInferBuilder(tensorRt.log()), "TensorRT makes no builder");
  }

  @Override
  public long newNetwork(long builder) {
    int stronglyTyped = 1 << NetworkDefinitionCreationFlag.kSTRONGLY_TYPED.value;
    return tensorRt.made(
        builder(builder).createNetworkV2(stronglyTyped), "TensorRT makes no network");
  }

  @Override
  public long newConfig(long builder) {
    return tensorRt.made(
        builder(builder).createBuilderConfig(), "TensorRT makes no builder configuration");
  }

  @Override
  public void setProgressMonitor(long config, long monitor) {
    config(config).setProgressMonitor(new IProgressMonitor(new Address(monitor)));
  }

  @Override
  public long newParser(long network) {
    return tensorRt.made(
        nvonnxparser.createParser(network(network), tensorRt.log()),
        "TensorRT makes no ONNX parser");
  }

  @Override
  public void parse(long parser, ByteBuffer model, String path) {
    tensorRt.log().errors().begin();
    try (BytePointer location = Texts.utf8(path)) {
      if (!parser(parser).parse(Address.of(model), model.limit(), location)) {
        String logged = tensorRt.log().errors().take();
        String faults = faults(parser(parser));
        throw TensorRtException.failed(faults.isEmpty() ? logged : faults);
      }
    }
  }

  /** What a parser found wrong, a line for each fault with the node where it occurred first. */
  private static String faults(IParser parser) {
    Map<String, String> nodes = new LinkedHashMap<>();
    for (int i = 0; i < parser.getNbErrors(); i++) {
      IParserError error = parser.getError(i);
      nodes.putIfAbsent(
          orEmpty(error.nodeOperator()) + ": " + orEmpty(error.desc()), orEmpty(error.nodeName()));
    }
    List<String> lines = new ArrayList<>();
    nodes.forEach((fault, node) -> lines.add(fault + " (node " + node + ")"));
    return String.join("\n", lines);
  }

  private static String orEmpty(String text) {
    return text == null ? "" : text;
  }

  @Override
  public List<IoTensor> inputs(long network) {
    INetworkDefinition asked = network(network);
    List<IoTensor> inputs = new ArrayList<>();
    for (int i = 0; i < asked.getNbInputs(); i++) {
      ITensor input = asked.getInput(i);
      inputs.add(
          new IoTensor(
              Texts.name(input.getName()),
              true,
              IoTensor.typeName(input.getType().value),
              true,
              Shapes.takeList(input.getDimensions())));
    }
    return inputs;
  }

  @Override
  public long newProfile(long builder) {
    return tensorRt.made(
        builder(builder).createOptimizationProfile(), "TensorRT makes no optimisation profile");
  }

  @Override
  public void setProfileShapes(
      long profile, String input, List<Long> smallest, List<Long> usual, List<Long> largest) {
    IOptimizationProfile set = new IOptimizationProfile(new Address(profile));
    try (BytePointer text = Texts.utf8(input);
        Dims64 least = Shapes.toDims(smallest);
        Dims64 best = Shapes.toDims(usual);
        Dims64 most = Shapes.toDims(largest)) {
      if (!set.setDimensions(text, OptProfileSelector.kMIN.value, least)
          || !set.setDimensions(text, OptProfileSelector.kOPT.value, best)
          || !set.setDimensions(text, OptProfileSelector.kMAX.value, most)) {
        throw tensorRt.failure("TensorRT does not take these shapes of " + input);
      }
    }
  }

  @Override
  public void addProfile(long config, long profile) {
    if (config(config).addOptimizationProfile(new IOptimizationProfile(new Address(profile))) < 0) {
      throw tensorRt.failure("TensorRT does not take the optimisation profile");
    }
  }

  @Override
  public void configure(
      long config,
      boolean tf32,
      boolean detailed,
      int level,
      int auxiliaryStreams,
      long workspaceBytes) {
    IBuilderConfig set = config(config);
    if (!tf32) {
      set.clearFlag(BuilderFlag.kTF32);
    }
    set.setProfilingVerbosity(
        detailed ? ProfilingVerbosity.kDETAILED : ProfilingVerbosity.kLAYER_NAMES_ONLY);
    if (level >= 0) {
      set.setBuilderOptimizationLevel(level);
    }
    if (auxiliaryStreams >= 0) {
      set.setMaxAuxStreams(auxiliaryStreams);
    }
    if (workspaceBytes > 0) {
      set.setMemoryPoolLimit(MemoryPoolType.kWORKSPACE, workspaceBytes);
    }
  }

  @Override
  public long newTimingCache(long config, byte[] content) {
    try (BytePointer bytes = new BytePointer(Math.max(content.length, 1))) {
      bytes.put(content, 0, content.length);
      ITimingCache cache = config(config).createTimingCache(bytes, content.length);
      return Pointer.isNull(cache) ? 0 : cache.address();
    }
  }

  @Override
  public boolean setTimingCache(long config, long cache) {
    boolean ignoreMismatch = false;
    return config(config).setTimingCache(new ITimingCache(new Address(cache)), ignoreMismatch);
  }

  @Override
  public long serializedTimingCache(long config) {
    ITimingCache cache = config(config).getTimingCache();
    return Pointer.isNull(cache)
        ? 0
        : tensorRt.made(cache.serialize(), "TensorRT gives no timing cache");
  }

  @Override
  public long build(long builder, long network, long config) {
    tensorRt.log().errors().begin();
    return tensorRt.made(
        builder(builder).buildSerializedNetwork(network(network), config(config)),
        "TensorRT builds no engine");
  }

  @Override
  public long size(long hostMemory) {
    return hostMemory(hostMemory).size();
  }

  @Override
  public ByteBuffer part(long hostMemory, long offset, int bytes) {
    return new Address(hostMemory(hostMemory).data().address() + offset).bytes(bytes);
  }
}
