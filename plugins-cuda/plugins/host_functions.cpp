// The functions of sparsedit_plugins.h that serve a host rather than a plugin.
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include "plugins/callbacks.h"
#include "plugins/sparsedit_plugins.h"

namespace sparsedit::plugins {
namespace {

template <std::size_t kSize>
void SetText(char (&to)[kSize], const char* text) {
  std::snprintf(to, kSize, "%s", text);
}

void SetDlError(char (&to)[4096], const char* otherwise) {
  const char* const why = dlerror();
  SetText(to, why == nullptr ? otherwise : why);
}

void Map(sparsedit_map_t& map) {
  const int file = open(map.file, O_RDONLY | O_CLOEXEC);
  struct stat status = {};
  if (file < 0 || fstat(file, &status) != 0) {
    SetText(map.message, std::strerror(errno));
  } else if (status.st_size == 0) {
    SetText(map.message, "the file is empty");
  } else {
    const auto size = static_cast<std::size_t>(status.st_size);
    void* const data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
    if (data == MAP_FAILED) {
      SetText(map.message, std::strerror(errno));
    } else {
      map.data = data;
      map.bytes = status.st_size;
    }
  }
  if (file >= 0) close(file);
}

}  // namespace
}  // namespace sparsedit::plugins

using namespace sparsedit::plugins;

static_assert(sizeof(sparsedit_gpu_t) == 544);
static_assert(sizeof(sparsedit_open_t) == 8192);
static_assert(sizeof(sparsedit_map_t) == 8208);
static_assert(sizeof(sparsedit_progress_t) == 256);
static_assert(sizeof(sparsedit_layer_times_t) == 16);

#define SPARSEDIT_EXPORT extern "C" __attribute__((visibility("default")))

SPARSEDIT_EXPORT void sparsedit_gpu(void* memory) {
  if (memory == nullptr) return;
  auto& gpu = *static_cast<sparsedit_gpu_t*>(memory);
  gpu = {};
  int count = 0;
  cudaDeviceProp properties = {};
  cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaSuccess && count > 0) code = cudaGetDeviceProperties(&properties, 0);
  if (code != cudaSuccess) {
    cudaGetLastError();  // clears it where it does not stick
    SetText(gpu.message, cudaGetErrorString(code));
    return;
  }
  gpu.count = count;
  gpu.capability = properties.major * 10 + properties.minor;
  gpu.memory = static_cast<std::int64_t>(properties.totalGlobalMem);
  SetText(gpu.name, properties.name);
}

SPARSEDIT_EXPORT void sparsedit_open(void* memory) {
  if (memory == nullptr) return;
  auto& request = *static_cast<sparsedit_open_t*>(memory);
  request.message[0] = 0;
  if (dlopen(request.library, RTLD_NOW | RTLD_LOCAL) == nullptr) {
    SetDlError(request.message, "it does not load");
  }
}

SPARSEDIT_EXPORT void sparsedit_map(void* memory) {
  if (memory == nullptr) return;
  auto& map = *static_cast<sparsedit_map_t*>(memory);
  map.data = nullptr;
  map.bytes = 0;
  map.message[0] = 0;
  Map(map);
}

SPARSEDIT_EXPORT void sparsedit_unmap(void* memory) {
  if (memory == nullptr) return;
  auto& map = *static_cast<sparsedit_map_t*>(memory);
  if (map.data != nullptr) munmap(map.data, static_cast<std::size_t>(map.bytes));
  map.data = nullptr;
  map.bytes = 0;
}

// An object goes out as the address of the interface that TensorRT takes, and comes back so.
SPARSEDIT_EXPORT void sparsedit_new_progress(void* memory) {
  if (memory == nullptr) return;
  static_cast<sparsedit_object_t*>(memory)->object =
      static_cast<nvinfer1::v_1_0::IProgressMonitor*>(new (std::nothrow) BuildProgress());
}

namespace {

BuildProgress* ToProgress(void* object) {
  return static_cast<BuildProgress*>(static_cast<nvinfer1::v_1_0::IProgressMonitor*>(object));
}

LayerTimes* ToLayerTimes(void* object) {
  return static_cast<LayerTimes*>(static_cast<nvinfer1::v_1_0::IProfiler*>(object));
}

}  // namespace

SPARSEDIT_EXPORT void sparsedit_read_progress(void* memory) {
  if (memory == nullptr) return;
  auto& progress = *static_cast<sparsedit_progress_t*>(memory);
  const BuildProgress::Phase phase = ToProgress(progress.object)->Current();
  progress.done = phase.done;
  progress.steps = phase.steps;
  SetText(progress.phase, phase.name.c_str());
}

SPARSEDIT_EXPORT void sparsedit_cancel_progress(void* object) {
  if (object != nullptr) ToProgress(object)->Cancel();
}

SPARSEDIT_EXPORT void sparsedit_delete_progress(void* object) { delete ToProgress(object); }

SPARSEDIT_EXPORT void sparsedit_new_layer_times(void* memory) {
  if (memory == nullptr) return;
  static_cast<sparsedit_object_t*>(memory)->object =
      static_cast<nvinfer1::v_1_0::IProfiler*>(new (std::nothrow) LayerTimes());
}

SPARSEDIT_EXPORT void sparsedit_take_layer_times(void* memory) {
  if (memory == nullptr) return;
  auto& times = *static_cast<sparsedit_layer_times_t*>(memory);
  char* const text = static_cast<char*>(memory) + sizeof times;
  times.bytes = ToLayerTimes(times.object)->Take(text, times.bytes);
}

SPARSEDIT_EXPORT void sparsedit_delete_layer_times(void* object) { delete ToLayerTimes(object); }
