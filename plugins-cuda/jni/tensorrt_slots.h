// Where TensorRT's functions stand in its tables of virtual functions.
//
// The library links nothing of TensorRT, so that one binary serves every TensorRT 10 (10.0 and
// later: NVIDIA appends functions within a major version). What a host calls is therefore called by
// position. An object of nvinfer1 holds a pointer to its implementation, apiv::V<name>, behind its
// own table; the positions are those of the implementation. nvonnxparser's classes have plain
// virtual functions. test/tensorrt_slots_test.cpp compares all of this with NVIDIA's headers.
#ifndef SPARSEDIT_JNI_TENSORRT_SLOTS_H_
#define SPARSEDIT_JNI_TENSORRT_SLOTS_H_

#include <cstddef>

namespace sparsedit::jni {

// In bytes, from the start of an object of nvinfer1.
constexpr std::size_t kImplementationOffset = sizeof(void*);

enum RuntimeSlot { kRuntimeDeserialize = 3, kRuntimeGetPluginRegistry = 18 };

enum EngineSlot {
  kEngineCreateContext = 5,
  kEngineCreateInspector = 18,
  kEngineGetTensorShape = 19,
  kEngineGetTensorDataType = 20,
  kEngineGetTensorLocation = 21,
  kEngineGetTensorIoMode = 23,
  kEngineGetProfileShape = 29,
  kEngineGetNbIoTensors = 30,
  kEngineGetIoTensorName = 31,
};

enum ContextSlot {
  kContextSetProfiler = 5,
  kContextSetInputShape = 21,
  kContextGetTensorShape = 22,
  kContextSetTensorAddress = 24,
  kContextInferShapes = 28,
  kContextEnqueue = 37,
  kContextSetNvtxVerbosity = 40,
};

enum InspectorSlot { kInspectorSetContext = 3, kInspectorGetEngineInformation = 6 };

enum BuilderSlot {
  kBuilderCreateConfig = 7,
  kBuilderCreateNetwork = 8,
  kBuilderCreateProfile = 9,
  kBuilderBuildSerialized = 14,
};

enum ConfigSlot {
  kConfigClearFlag = 10,
  kConfigAddProfile = 25,
  kConfigSetProfilingVerbosity = 27,
  kConfigCreateTimingCache = 40,
  kConfigSetTimingCache = 41,
  kConfigGetTimingCache = 42,
  kConfigSetMemoryPoolLimit = 43,
  kConfigSetOptimizationLevel = 47,
  kConfigSetProgressMonitor = 56,
};

enum ProfileSlot { kProfileSetDimensions = 2 };

enum NetworkSlot {
  kNetworkGetNbLayers = 12,
  kNetworkGetNbInputs = 14,
  kNetworkGetInput = 15,
  kNetworkGetNbOutputs = 16,
  kNetworkGetOutput = 17,
};

enum TensorSlot {
  kTensorGetName = 3,
  kTensorGetDimensions = 5,
  kTensorGetType = 7,
  kTensorIsShapeTensor = 21,
};

enum HostMemorySlot { kHostMemoryData = 2, kHostMemorySize = 3 };

enum TimingCacheSlot { kTimingCacheSerialize = 2 };

// Of nvonnxparser.
enum ParserSlot { kParserParse = 0, kParserGetNbErrors = 5, kParserGetError = 6 };
enum ParserErrorSlot {
  kParserErrorDesc = 1,
  kParserErrorNode = 5,
  kParserErrorNodeName = 6,
  kParserErrorNodeOperator = 7,
};

}  // namespace sparsedit::jni

#endif  // SPARSEDIT_JNI_TENSORRT_SLOTS_H_
