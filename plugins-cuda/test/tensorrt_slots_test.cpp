// Compares jni/tensorrt_slots.h with NVIDIA's headers. Built where TENSORRT_INCLUDE_DIR names those
// of a TensorRT 10.
#include <NvInfer.h>

#if __has_include(<NvOnnxParser.h>)
#include <NvOnnxParser.h>
#define HAS_PARSER 1
#endif

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "jni/tensorrt_slots.h"

using namespace nvinfer1;
using namespace nvinfer1::apiv;
using namespace sparsedit::jni;

namespace {

int faults = 0;

// Of a pointer to a virtual function in the Itanium C++ ABI.
template <typename Function>
int SlotOf(Function function) {
  std::intptr_t parts[2] = {};
  static_assert(sizeof function == sizeof parts);
  std::memcpy(parts, &function, sizeof parts);
  return static_cast<int>((parts[0] - 1) / static_cast<std::intptr_t>(sizeof(void*)));
}

void Expect(const char* name, int expected, int found) {
  if (expected == found) return;
  std::printf("%s: %d here, %d in NVIDIA's headers\n", name, expected, found);
  ++faults;
}

template <typename Object>
struct Probe : Object {
  static std::size_t At() {
    return reinterpret_cast<std::size_t>(&(reinterpret_cast<Probe*>(1024)->mImpl)) - 1024;
  }
};

template <typename Object>
void ExpectImplementation(const char* name) {
  Expect(name, static_cast<int>(kImplementationOffset), static_cast<int>(Probe<Object>::At()));
}

}  // namespace

#define EXPECT_SLOT(slot, function) Expect(#slot, slot, SlotOf(&function))

int main() {
  Expect("kRuntimeDeserialize", kRuntimeDeserialize,
         SlotOf(static_cast<ICudaEngine* (VRuntime::*)(const void*, std::size_t) noexcept>(
             &VRuntime::deserializeCudaEngine)));
  EXPECT_SLOT(kRuntimeGetPluginRegistry, VRuntime::getPluginRegistry);

  EXPECT_SLOT(kEngineCreateContext, VCudaEngine::createExecutionContext);
  EXPECT_SLOT(kEngineCreateInspector, VCudaEngine::createEngineInspector);
  EXPECT_SLOT(kEngineGetTensorShape, VCudaEngine::getTensorShape);
  EXPECT_SLOT(kEngineGetTensorDataType, VCudaEngine::getTensorDataType);
  EXPECT_SLOT(kEngineGetTensorLocation, VCudaEngine::getTensorLocation);
  EXPECT_SLOT(kEngineGetTensorIoMode, VCudaEngine::getTensorIOMode);
  EXPECT_SLOT(kEngineGetProfileShape, VCudaEngine::getProfileShape);
  EXPECT_SLOT(kEngineGetNbIoTensors, VCudaEngine::getNbIOTensors);
  EXPECT_SLOT(kEngineGetIoTensorName, VCudaEngine::getIOTensorName);

  EXPECT_SLOT(kContextSetProfiler, VExecutionContext::setProfiler);
  EXPECT_SLOT(kContextSetInputShape, VExecutionContext::setInputShape);
  EXPECT_SLOT(kContextGetTensorShape, VExecutionContext::getTensorShape);
  EXPECT_SLOT(kContextSetTensorAddress, VExecutionContext::setTensorAddress);
  EXPECT_SLOT(kContextInferShapes, VExecutionContext::inferShapes);
  EXPECT_SLOT(kContextEnqueue, VExecutionContext::enqueueV3);
  EXPECT_SLOT(kContextSetNvtxVerbosity, VExecutionContext::setNvtxVerbosity);

  EXPECT_SLOT(kInspectorSetContext, VEngineInspector::setExecutionContext);
  EXPECT_SLOT(kInspectorGetEngineInformation, VEngineInspector::getEngineInformation);

  EXPECT_SLOT(kBuilderCreateConfig, VBuilder::createBuilderConfig);
  EXPECT_SLOT(kBuilderCreateNetwork, VBuilder::createNetworkV2);
  EXPECT_SLOT(kBuilderCreateProfile, VBuilder::createOptimizationProfile);
  EXPECT_SLOT(kBuilderBuildSerialized, VBuilder::buildSerializedNetwork);

  EXPECT_SLOT(kConfigClearFlag, VBuilderConfig::clearFlag);
  EXPECT_SLOT(kConfigAddProfile, VBuilderConfig::addOptimizationProfile);
  EXPECT_SLOT(kConfigSetProfilingVerbosity, VBuilderConfig::setProfilingVerbosity);
  EXPECT_SLOT(kConfigCreateTimingCache, VBuilderConfig::createTimingCache);
  EXPECT_SLOT(kConfigSetTimingCache, VBuilderConfig::setTimingCache);
  EXPECT_SLOT(kConfigGetTimingCache, VBuilderConfig::getTimingCache);
  EXPECT_SLOT(kConfigSetMemoryPoolLimit, VBuilderConfig::setMemoryPoolLimit);
  EXPECT_SLOT(kConfigSetOptimizationLevel, VBuilderConfig::setBuilderOptimizationLevel);
  EXPECT_SLOT(kConfigSetProgressMonitor, VBuilderConfig::setProgressMonitor);

  EXPECT_SLOT(kProfileSetDimensions, VOptimizationProfile::setDimensions);

  EXPECT_SLOT(kNetworkGetNbLayers, VNetworkDefinition::getNbLayers);
  EXPECT_SLOT(kNetworkGetNbInputs, VNetworkDefinition::getNbInputs);
  EXPECT_SLOT(kNetworkGetInput, VNetworkDefinition::getInput);
  EXPECT_SLOT(kNetworkGetNbOutputs, VNetworkDefinition::getNbOutputs);
  EXPECT_SLOT(kNetworkGetOutput, VNetworkDefinition::getOutput);

  EXPECT_SLOT(kTensorGetName, VTensor::getName);
  EXPECT_SLOT(kTensorGetDimensions, VTensor::getDimensions);
  EXPECT_SLOT(kTensorGetType, VTensor::getType);
  EXPECT_SLOT(kTensorIsShapeTensor, VTensor::isShapeTensor);

  EXPECT_SLOT(kHostMemoryData, VHostMemory::data);
  EXPECT_SLOT(kHostMemorySize, VHostMemory::size);
  EXPECT_SLOT(kTimingCacheSerialize, VTimingCache::serialize);

#ifdef HAS_PARSER
  EXPECT_SLOT(kParserParse, nvonnxparser::IParser::parse);
  EXPECT_SLOT(kParserGetNbErrors, nvonnxparser::IParser::getNbErrors);
  EXPECT_SLOT(kParserGetError, nvonnxparser::IParser::getError);
  EXPECT_SLOT(kParserErrorDesc, nvonnxparser::IParserError::desc);
  EXPECT_SLOT(kParserErrorNode, nvonnxparser::IParserError::node);
  EXPECT_SLOT(kParserErrorNodeName, nvonnxparser::IParserError::nodeName);
  EXPECT_SLOT(kParserErrorNodeOperator, nvonnxparser::IParserError::nodeOperator);
#endif

  ExpectImplementation<IRuntime>("IRuntime");
  ExpectImplementation<ICudaEngine>("ICudaEngine");
  ExpectImplementation<IExecutionContext>("IExecutionContext");
  ExpectImplementation<IEngineInspector>("IEngineInspector");
  ExpectImplementation<IBuilder>("IBuilder");
  ExpectImplementation<IBuilderConfig>("IBuilderConfig");
  ExpectImplementation<IOptimizationProfile>("IOptimizationProfile");
  ExpectImplementation<INetworkDefinition>("INetworkDefinition");
  ExpectImplementation<IHostMemory>("IHostMemory");
  ExpectImplementation<ITimingCache>("ITimingCache");

  std::printf("TensorRT %d.%d: %s\n", NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR,
              faults == 0 ? "same" : "DIFFERS");
  return faults == 0 ? 0 : 1;
}
