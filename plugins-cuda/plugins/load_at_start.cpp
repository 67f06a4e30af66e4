// libsparsedit_load.so: opened by a process, it loads the plugin library into TensorRT's registry.
//
// For programs that can be told to open a library but not to load plugins, such as Triton's
// TensorRT backend (docs/tensorrt.md). The plugin library is what SPARSEDIT_PLUGINS names, or
// libsparsedit_plugins.so beside this one. What fails is said on stderr, and the program goes on.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "plugins/trt_abi.h"

namespace {

constexpr std::int32_t kFirstOfMajor11 = 110000;

void Say(const std::string& what) { std::fprintf(stderr, "SparseDiT: %s\n", what.c_str()); }

// The plugin library's path.
std::string PluginLibrary() {
  const char* const named = std::getenv("SPARSEDIT_PLUGINS");
  if (named != nullptr && *named != '\0') return named;
  Dl_info self = {};
  if (dladdr(reinterpret_cast<const void*>(&PluginLibrary), &self) == 0) return "";
  const std::string path = self.dli_fname;
  const std::size_t slash = path.rfind('/');
  return (slash == std::string::npos ? "" : path.substr(0, slash + 1)) +
         "libsparsedit_plugins.so";
}

// TensorRT as the process has it; else what the loader finds.
void* TensorRt() {
  for (const int flags : {RTLD_NOW | RTLD_NOLOAD, RTLD_NOW}) {
    for (const char* const name : {"libnvinfer.so.10", "libnvinfer.so.11"}) {
      void* const library = dlopen(name, flags);
      if (library != nullptr) return library;
    }
  }
  return nullptr;
}

template <typename Registry>
bool LoadInto(void* registry, const std::string& path) {
  return static_cast<Registry*>(registry)->loadLibrary(path.c_str()) != nullptr;
}

__attribute__((constructor)) void LoadPlugins() {
  void* const nvinfer = TensorRt();
  if (nvinfer == nullptr) return Say("no plugins were loaded: libnvinfer.so.10 is not found");
  const auto version = reinterpret_cast<std::int32_t (*)()>(dlsym(nvinfer, "getInferLibVersion"));
  const auto get = reinterpret_cast<void* (*)()>(dlsym(nvinfer, "getPluginRegistry"));
  void* const registry = version == nullptr || get == nullptr ? nullptr : get();
  if (registry == nullptr) return Say("no plugins were loaded: TensorRT has no plugin registry");
  const std::string path = PluginLibrary();
  const bool loaded = version() < kFirstOfMajor11
                          ? LoadInto<nvinfer1::trt10::IPluginRegistry>(registry, path)
                          : LoadInto<nvinfer1::trt11::IPluginRegistry>(registry, path);
  if (!loaded) Say("TensorRT does not load " + path);
}

}  // namespace
