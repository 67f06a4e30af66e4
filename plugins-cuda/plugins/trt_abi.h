// trt_abi.h - the part of TensorRT's C++ ABI that a plugin library touches, for C++17.
//
// Written by hand from interface facts, so that an IPluginV3 library builds without the TensorRT
// SDK. Such a library links against nothing of TensorRT: it is loaded, and both sides then talk
// through vtables. All that a plugin implements has one layout from TensorRT 10.0 to 11.2, so one
// binary serves them all. What the host implements changed in TensorRT 11: see trt10 and trt11 at
// the end.
//
// This is an ABI description; abi_check.py proves it against NVIDIA's headers. Therefore:
//   - never reorder, insert or remove a virtual function;
//   - never change a namespace (v_1_0, v_2_0, apiv are part of the type names) or an InterfaceInfo;
//   - never include it beside NvInfer*.h.
//
// A plugin library exports two functions; without both, TensorRT does not load it:
//   extern "C" nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count);
//   extern "C" void setLoggerFinder(void* finder);
// where finder is a trt10::ILoggerFinder* or a trt11::ILoggerFinder*.
#pragma once
#include <cstddef>
#include <cstdint>

typedef struct CUstream_st* cudaStream_t; // the type of the CUDA runtime; repeating it is harmless

namespace nvinfer1 {

using AsciiChar = char;

// ---------------- tensors

// Element types. kFP4 is known to TensorRT 10.8 and later, kE8M0 to 10.12 and later.
enum class DataType : int32_t {
  kFLOAT, kHALF, kINT8, kINT32, kBOOL, kUINT8, kFP8, kBF16, kINT64, kINT4, kFP4, kE8M0
};

// Memory order. kLINEAR is dense row-major; the others pack or pad channels.
enum class TensorFormat : int32_t {
  kLINEAR, kCHW2, kHWC8, kCHW4, kCHW16, kCHW32, kDHWC8, kCDHW32, kHWC, kDLA_LINEAR, kDLA_HWC4,
  kHWC16, kDHWC
};
using PluginFormat = TensorFormat;

// A shape in elements: nbDims of d are in use; -1 is an extent not known yet (build time only).
class Dims64 {
public:
  static constexpr int32_t MAX_DIMS = 8;
  int32_t nbDims;
  int64_t d[MAX_DIMS];
};
using Dims = Dims64;

// One tensor as it is at run time.
struct PluginTensorDesc {
  Dims dims;
  DataType type;
  TensorFormat format;
  float scale; // quantisation scale, for kINT8 only
};

// One tensor as it is at build time: desc with its open extents at -1, and the range of the
// profile.
struct DynamicPluginTensorDesc {
  PluginTensorDesc desc;
  Dims min, max, opt;
};

// ---------------- symbolic shapes (build time)

enum class DimensionOperation : int32_t {
  kSUM, kPROD, kMAX, kMIN, kSUB, kEQUAL, kLESS, kFLOOR_DIV, kCEIL_DIV
};

class IDimensionExpr;

// The host's implementations behind IDimensionExpr and IExprBuilder.
namespace apiv {
class VRoot {
public:
  virtual ~VRoot() noexcept = default;
};
class VDimensionExpr : public VRoot {
public:
  virtual bool isConstant() const = 0;
  virtual int64_t getConstantValue() const = 0;
  virtual bool isSizeTensor() const = 0;
};
class VExprBuilder : public VRoot {
public:
  virtual IDimensionExpr const* constant(int64_t value) = 0;
  virtual IDimensionExpr const* operation(
      DimensionOperation op, IDimensionExpr const& first, IDimensionExpr const& second) = 0;
  virtual IDimensionExpr const* declareSizeTensor(
      int32_t outputIndex, IDimensionExpr const& opt, IDimensionExpr const& upper) = 0;
};
} // namespace apiv

class INoCopy {
protected:
  INoCopy() = default;
  virtual ~INoCopy() = default;
  INoCopy(INoCopy const&) = delete;
};

// One extent: a number, or an expression of input extents. Owned by the builder.
class IDimensionExpr : public INoCopy {
public:
  bool isConstant() const noexcept { return mImpl->isConstant(); }
  int64_t getConstantValue() const noexcept { return mImpl->getConstantValue(); }
  bool isSizeTensor() const noexcept { return mImpl->isSizeTensor(); }

protected:
  apiv::VDimensionExpr* mImpl;
  virtual ~IDimensionExpr() noexcept = default;
};

// Makes expressions. declareSizeTensor makes an extent that enqueue decides: output outputIndex is
// then a 0-d tensor (kINT32 by the documentation) to which enqueue writes it; tuning assumes opt,
// memory is reserved for upper.
class IExprBuilder : public INoCopy {
public:
  IDimensionExpr const* constant(int64_t value) noexcept { return mImpl->constant(value); }
  IDimensionExpr const* operation(
      DimensionOperation op, IDimensionExpr const& first, IDimensionExpr const& second) noexcept {
    return mImpl->operation(op, first, second);
  }
  IDimensionExpr const* declareSizeTensor(
      int32_t outputIndex, IDimensionExpr const& opt, IDimensionExpr const& upper) {
    return mImpl->declareSizeTensor(outputIndex, opt, upper);
  }

protected:
  apiv::VExprBuilder* mImpl;
  virtual ~IExprBuilder() noexcept = default;
};

// A symbolic shape.
class DimsExprs {
public:
  int32_t nbDims;
  IDimensionExpr const* d[Dims::MAX_DIMS];
};

// ---------------- attributes

// kINT4 is known to TensorRT 10.1 and later, kFP4 to 10.8 and later.
enum class PluginFieldType : int32_t {
  kFLOAT16, kFLOAT32, kFLOAT64, kINT8, kINT16, kINT32, kCHAR, kDIMS, kUNKNOWN, kBF16, kINT64, kFP8,
  kINT4, kFP4
};

// A named attribute: length elements of type at data, owned elsewhere. A string is kCHAR of strlen
// elements, not necessarily zero-terminated.
class PluginField {
public:
  AsciiChar const* name;
  void const* data;
  PluginFieldType type;
  int32_t length;

  PluginField(AsciiChar const* name_ = nullptr, void const* data_ = nullptr,
      PluginFieldType type_ = PluginFieldType::kUNKNOWN, int32_t length_ = 0) noexcept
      : name(name_), data(data_), type(type_), length(length_) {}
};

struct PluginFieldCollection {
  int32_t nbFields{};
  PluginField const* fields{};
};

// ---------------- the common root

// Names the role of an object: what TensorRT goes by when it casts down from IVersionedInterface.
class InterfaceInfo {
public:
  char const* kind;
  int32_t major, minor;
};

enum class APILanguage : int32_t { kCPP, kPYTHON };

class IVersionedInterface {
public:
  virtual APILanguage getAPILanguage() const noexcept { return APILanguage::kCPP; }
  virtual InterfaceInfo getInterfaceInfo() const noexcept = 0;
  virtual ~IVersionedInterface() noexcept = default;
};

// ---------------- what a plugin implements

// Why a plugin is made: from an ONNX model or a network, or from the fields stored in an engine.
enum class TensorRTPhase : int32_t { kBUILD, kRUNTIME };
enum class PluginCapabilityType : int32_t { kCORE, kBUILD, kRUNTIME };

namespace v_1_0 {
class IErrorRecorder; // opaque here
class IGpuAllocator;  // opaque here

// A facet of a plugin; an object may be several at once.
class IPluginCapability : public IVersionedInterface {};

// Something that plugins share by key, through the registry.
class IPluginResource : public IVersionedInterface {
public:
  InterfaceInfo getInterfaceInfo() const noexcept override { return {"IPluginResource", 1, 0}; }
  virtual int32_t release() noexcept = 0;
  virtual IPluginResource* clone() noexcept = 0;
};

// The plugin: hands out its facets (as pointers of exactly the facet's type) and copies itself.
class IPluginV3 : public IVersionedInterface {
public:
  InterfaceInfo getInterfaceInfo() const noexcept override { return {"PLUGIN", 1, 0}; }
  virtual IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept = 0;
  virtual IPluginV3* clone() noexcept = 0;
};
} // namespace v_1_0

using v_1_0::IErrorRecorder;
using v_1_0::IGpuAllocator;
using v_1_0::IPluginCapability;
using v_1_0::IPluginResource;
using v_1_0::IPluginV3;

// What an execution context lends to its plugins; either may be null.
class IPluginResourceContext {
public:
  virtual IGpuAllocator* getGpuAllocator() const noexcept = 0;
  virtual IErrorRecorder* getErrorRecorder() const noexcept = 0;
  virtual ~IPluginResourceContext() noexcept = default;
};

// int32_t results: 0 is success, unless it is a count. Sizes are in bytes. What a plugin points to
// must last until the same function is called again.
namespace v_1_0 {

// Facet 1: the identity, equal to that of the creator.
class IPluginV3OneCore : public IPluginCapability {
public:
  InterfaceInfo getInterfaceInfo() const noexcept override { return {"PLUGIN_V3ONE_CORE", 1, 0}; }
  virtual AsciiChar const* getPluginName() const noexcept = 0;
  virtual AsciiChar const* getPluginVersion() const noexcept = 0;
  virtual AsciiChar const* getPluginNamespace() const noexcept = 0;
};

// Facet 2: types, shapes, formats, scratch size and tactics, asked while an engine is built.
class IPluginV3OneBuild : public IPluginCapability {
public:
  static constexpr int32_t kDEFAULT_FORMAT_COMBINATION_LIMIT = 100;

  InterfaceInfo getInterfaceInfo() const noexcept override { return {"PLUGIN_V3ONE_BUILD", 1, 0}; }
  virtual int32_t configurePlugin(DynamicPluginTensorDesc const* in, int32_t nbInputs,
      DynamicPluginTensorDesc const* out, int32_t nbOutputs) noexcept = 0;
  virtual int32_t getOutputDataTypes(
      DataType* outputTypes, int32_t nbOutputs, DataType const* inputTypes,
      int32_t nbInputs) const noexcept = 0;
  virtual int32_t getOutputShapes(DimsExprs const* inputs, int32_t nbInputs,
      DimsExprs const* shapeInputs, int32_t nbShapeInputs, DimsExprs* outputs, int32_t nbOutputs,
      IExprBuilder& builder) noexcept = 0;
  // inOut: the inputs, then the outputs; judge pos, knowing that 0..pos-1 are settled.
  virtual bool supportsFormatCombination(
      int32_t pos, DynamicPluginTensorDesc const* inOut, int32_t nbInputs,
      int32_t nbOutputs) noexcept = 0;
  virtual int32_t getNbOutputs() const noexcept = 0;
  virtual size_t getWorkspaceSize(DynamicPluginTensorDesc const* /*in*/, int32_t /*nbInputs*/,
      DynamicPluginTensorDesc const* /*out*/, int32_t /*nbOutputs*/) const noexcept { return 0; }
  virtual int32_t getValidTactics(int32_t* /*tactics*/, int32_t /*nbTactics*/) noexcept {
    return 0;
  }
  virtual int32_t getNbTactics() noexcept { return 0; }
  // Null: timings are not cached.
  virtual char const* getTimingCacheID() noexcept { return nullptr; }
  virtual int32_t getFormatCombinationLimit() noexcept { return kDEFAULT_FORMAT_COMBINATION_LIMIT; }
  virtual char const* getMetadataString() noexcept { return nullptr; }
};

// Facet 3: running, and storing the fields from which the creator remakes the plugin.
class IPluginV3OneRuntime : public IPluginCapability {
public:
  InterfaceInfo getInterfaceInfo() const noexcept override {
    return {"PLUGIN_V3ONE_RUNTIME", 1, 0};
  }
  virtual int32_t setTactic(int32_t /*tactic*/) noexcept { return 0; }
  virtual int32_t onShapeChange(
      PluginTensorDesc const* in, int32_t nbInputs, PluginTensorDesc const* out,
      int32_t nbOutputs) noexcept = 0;
  // inputs, outputs and workspace are device pointers; the work goes to stream.
  virtual int32_t enqueue(PluginTensorDesc const* inDesc, PluginTensorDesc const* outDesc,
      void const* const* inputs, void* const* outputs, void* workspace,
      cudaStream_t stream) noexcept = 0;
  // A copy for one context.
  virtual IPluginV3* attachToContext(IPluginResourceContext* context) noexcept = 0;
  virtual PluginFieldCollection const* getFieldsToSerialize() noexcept = 0;
};

class IPluginCreatorInterface : public IVersionedInterface {};

// Makes plugins. getFieldNames lists the accepted attributes; their data may be null.
class IPluginCreatorV3One : public IPluginCreatorInterface {
public:
  InterfaceInfo getInterfaceInfo() const noexcept override {
    return {"PLUGIN CREATOR_V3ONE", 1, 0};
  }
  virtual IPluginV3* createPlugin(
      AsciiChar const* name, PluginFieldCollection const* fc, TensorRTPhase phase) noexcept = 0;
  virtual PluginFieldCollection const* getFieldNames() noexcept = 0;
  virtual AsciiChar const* getPluginName() const noexcept = 0;
  virtual AsciiChar const* getPluginVersion() const noexcept = 0;
  virtual AsciiChar const* getPluginNamespace() const noexcept = 0;
};
} // namespace v_1_0

// Facet 2 of a plugin that writes an output over an input (TensorRT 10.3 and later).
namespace v_2_0 {
class IPluginV3OneBuild : public v_1_0::IPluginV3OneBuild {
public:
  InterfaceInfo getInterfaceInfo() const noexcept override { return {"PLUGIN_V3ONE_BUILD", 2, 0}; }
  // -1: its own memory.
  virtual int32_t getAliasedInput(int32_t /*outputIndex*/) noexcept { return -1; }
};
} // namespace v_2_0

using v_1_0::IPluginCreatorInterface;
using v_1_0::IPluginCreatorV3One;
using v_1_0::IPluginV3OneBuild;
using v_1_0::IPluginV3OneCore;
using v_1_0::IPluginV3OneRuntime;
using IPluginV3OneBuildV2 = v_2_0::IPluginV3OneBuild;

// ---------------- what the host implements, by major version

enum class LogSeverity : int32_t { kINTERNAL_ERROR, kERROR, kWARNING, kINFO, kVERBOSE };

// The registry's functions hide those of the same names that its head has for version-2 plugins, as
// TensorRT's own do.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverloaded-virtual"

// The list of creators. TensorRT 11 dropped functions from its head; the rest is common. A library
// does not need it.
template <class Head>
class BasicRegistry : public Head {
public:
  virtual bool isParentSearchEnabled() const = 0;
  virtual void setParentSearchEnabled(bool enabled) = 0;
  virtual void* loadLibrary(AsciiChar const* path) noexcept = 0; // null if it cannot be loaded
      virtual void deregisterLibrary(void* handle) noexcept = 0;
  virtual bool registerCreator(IPluginCreatorInterface& creator,
      AsciiChar const* pluginNamespace) noexcept = 0;
  virtual IPluginCreatorInterface* const* getAllCreators(int32_t* count) const noexcept = 0;
  virtual IPluginCreatorInterface* getCreator(
      AsciiChar const* name, AsciiChar const* version,
      AsciiChar const* pluginNamespace = "") noexcept = 0;
  virtual bool deregisterCreator(IPluginCreatorInterface const& creator) noexcept = 0;
  virtual IPluginResource* acquirePluginResource(AsciiChar const* key,
      IPluginResource* resource) noexcept = 0;
  virtual int32_t releasePluginResource(AsciiChar const* key) noexcept = 0;
  // Since 10.10.
  virtual IPluginCreatorInterface* const* getAllCreatorsRecursive(int32_t* count) noexcept = 0;
};

namespace trt10 {
class ILogger {
public:
  virtual void log(LogSeverity severity, AsciiChar const* message) noexcept = 0;
  virtual ~ILogger() = default;
};

class ILoggerFinder {
public:
  virtual ILogger* findLogger() = 0;

protected:
  virtual ~ILoggerFinder() = default;
};

class IPluginCreator; // of version-2 plugins, opaque here

class RegistryHead {
public:
  virtual bool registerCreator(IPluginCreator& creator,
      AsciiChar const* pluginNamespace) noexcept = 0;
  virtual IPluginCreator* const* getPluginCreatorList(int32_t* count) const noexcept = 0;
  virtual IPluginCreator* getPluginCreator(
      AsciiChar const* name, AsciiChar const* version,
      AsciiChar const* pluginNamespace = "") noexcept = 0;

protected:
  virtual ~RegistryHead() noexcept = default;

public:
  virtual void setErrorRecorder(IErrorRecorder* recorder) noexcept = 0;
  virtual IErrorRecorder* getErrorRecorder() const noexcept = 0;
  virtual bool deregisterCreator(IPluginCreator const& creator) noexcept = 0;
};
using IPluginRegistry = BasicRegistry<RegistryHead>;
} // namespace trt10

namespace trt11 {
class ILogger : public IVersionedInterface {
public:
  InterfaceInfo getInterfaceInfo() const noexcept override { return {"ILogger", 1, 0}; }
  virtual void log(LogSeverity severity, AsciiChar const* message) noexcept = 0;
};

class ILoggerFinder : public IVersionedInterface {
public:
  InterfaceInfo getInterfaceInfo() const noexcept override { return {"ILoggerFinder", 1, 0}; }
  virtual ILogger* findLogger() = 0;

protected:
  ~ILoggerFinder() override = default;
};

class RegistryHead {
protected:
  virtual ~RegistryHead() noexcept = default;

public:
  virtual void setErrorRecorder(IErrorRecorder* recorder) noexcept = 0;
  virtual IErrorRecorder* getErrorRecorder() const noexcept = 0;
};
using IPluginRegistry = BasicRegistry<RegistryHead>;
} // namespace trt11
#pragma GCC diagnostic pop

} // namespace nvinfer1

// Exported by libnvinfer. getPluginRegistry returns a trt10::IPluginRegistry* or a
// trt11::IPluginRegistry*; getInferLibVersion (major * 10000 + minor * 100 + patch) tells which.
extern "C" void* getPluginRegistry() noexcept;
extern "C" int32_t getInferLibVersion() noexcept;
