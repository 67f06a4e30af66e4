// What libsparsedit_plugins.so exports.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "plugins/adaspa_plan_plugin.h"
#include "plugins/block_sparse_attention_plugin.h"
#include "plugins/qk_norm_rope_plugin.h"
#include "plugins/sparsedit_plugins.h"
#include "plugins/svg2_plan_plugin.h"
#include "plugins/svg_plan_plugin.h"

#ifndef SPARSEDIT_TARGETS
#error "SPARSEDIT_TARGETS: what the kernels are compiled for"
#endif

namespace sparsedit::plugins {
namespace {

using Destructor = void (*)(void*);

// Calls a function of the object's table of virtual functions. In the Itanium C++ ABI (Linux, every
// compiler) a virtual destructor takes two places: one that destroys, then one that also frees.
void CallVirtual(void* object, int slot) {
  if (object != nullptr) (*static_cast<Destructor* const*>(object))[slot](object);
}

// All of nvinfer1's own classes begin with their virtual destructor.
void Delete(void* object) { CallVirtual(object, 1); }

// nvonnxparser::IParser has eight functions before it; TensorRT 11 dropped two of them.
void DeleteParser(void* object) {
  if (object == nullptr) return;
  const int major = TensorRtMajorOf(object);
  if (major != 10 && major != 11) {  // then its destructor's place is not known
    Log(nvinfer1::LogSeverity::kERROR, "an ONNX parser of TensorRT %d was not deleted", major);
    return;
  }
  CallVirtual(object, major == 10 ? 9 : 7);
}

template <std::size_t kSize>
void CopyText(char (&to)[kSize], const char* from) {
  std::memset(to, 0, kSize);
  std::strncpy(to, from, kSize - 1);
}

}  // namespace

std::string DeviceText() {
  int device = 0, major = 0, minor = 0;
  std::string text = "no GPU";
  if (cudaGetDevice(&device) == cudaSuccess &&
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) == cudaSuccess) {
    text = "compute capability " + std::to_string(major) + "." + std::to_string(minor);
  }
  return text + ", kernels for " + SPARSEDIT_TARGETS;
}

}  // namespace sparsedit::plugins

using namespace sparsedit::plugins;

static_assert(sizeof(sparsedit_plugin_version_t) == 256);
static_assert(sizeof SPARSEDIT_TARGETS <= sizeof(sparsedit_plugin_version_t::targets));

#define SPARSEDIT_EXPORT extern "C" __attribute__((visibility("default")))

SPARSEDIT_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(std::int32_t& count) {
  static Creator<Svg2PlanOp> svg2_plan;
  static Creator<SvgPlanOp> svg_plan;
  static Creator<AdaSpaPlanOp> adaspa_plan;
  static Creator<BlockSparseAttentionOp> attention;
  static Creator<QkNormRopeOp> qk_norm_rope;
  static nvinfer1::IPluginCreatorInterface* const all[] = {&svg2_plan, &svg_plan, &adaspa_plan,
                                                           &attention, &qk_norm_rope};
  count = static_cast<std::int32_t>(std::size(all));
  return all;
}

// An ILoggerFinder*, which has another form in TensorRT 11 than in 10.
SPARSEDIT_EXPORT void setLoggerFinder(void* finder) { SetLoggerFinder(finder); }

SPARSEDIT_EXPORT void sparsedit_plugin_version(void* memory) {
  std::int32_t bytes = 0;
  if (memory == nullptr) return;
  std::memcpy(&bytes, memory, sizeof bytes);
  if (bytes < static_cast<std::int32_t>(sizeof bytes)) return;

  sparsedit_plugin_version_t version = {};
  version.bytes = std::min(bytes, static_cast<std::int32_t>(sizeof version));
  version.plugin_version = 1;
  version.cuda_runtime = CUDART_VERSION;
  // Within a major version, any driver runs what any toolkit made (CUDA's minor version
  // compatibility).
  version.cuda_needed = CUDART_VERSION / 1000 * 1000;
  int driver = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess) version.cuda_driver = driver;
#ifdef SPARSEDIT_NVIDIA_HEADERS
  version.tensorrt = NV_TENSORRT_VERSION;
#endif
  CopyText(version.targets, SPARSEDIT_TARGETS);
  CopyText(version.nodes, "Svg2Plan SvgPlan AdaSpaPlan BlockSparseAttention QkNormRope");
  std::memcpy(memory, &version, static_cast<std::size_t>(version.bytes));
}

SPARSEDIT_EXPORT void sparsedit_delete_builder(void* object) { Delete(object); }
SPARSEDIT_EXPORT void sparsedit_delete_network(void* object) { Delete(object); }
SPARSEDIT_EXPORT void sparsedit_delete_builder_config(void* object) { Delete(object); }
SPARSEDIT_EXPORT void sparsedit_delete_timing_cache(void* object) { Delete(object); }
SPARSEDIT_EXPORT void sparsedit_delete_onnx_parser(void* object) { DeleteParser(object); }
SPARSEDIT_EXPORT void sparsedit_delete_host_memory(void* object) { Delete(object); }
SPARSEDIT_EXPORT void sparsedit_delete_runtime(void* object) { Delete(object); }
SPARSEDIT_EXPORT void sparsedit_delete_engine(void* object) { Delete(object); }
SPARSEDIT_EXPORT void sparsedit_delete_execution_context(void* object) { Delete(object); }
SPARSEDIT_EXPORT void sparsedit_delete_engine_inspector(void* object) { Delete(object); }
