// Opens libsparsedit_load.so in a process that has TensorRT, or a stand-in, and looks for the
// plugins in its registry.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "check.h"
#include "plugins/trt_abi.h"

namespace sparsedit::test {
namespace {

constexpr const char* kSpace = "sparsedit";

template <typename Registry>
void TestPlugins(void* nvinfer, const char* loader, const char* plugins) {
  const auto get = reinterpret_cast<void* (*)()>(dlsym(nvinfer, "getPluginRegistry"));
  auto* const registry = static_cast<Registry*>(get());
  CHECK(registry->getCreator("BlockSparseAttention", "1", kSpace) == nullptr);

  // A plugin library that is not there leaves the registry and the process as they are.
  setenv("SPARSEDIT_PLUGINS", "/nowhere/plugins.so", 1);
  void* const first = dlopen(loader, RTLD_LAZY | RTLD_LOCAL);
  CHECK(first != nullptr);
  CHECK(registry->getCreator("BlockSparseAttention", "1", kSpace) == nullptr);
  if (first != nullptr) dlclose(first);

  setenv("SPARSEDIT_PLUGINS", plugins, 1);
  CHECK(dlopen(loader, RTLD_LAZY | RTLD_LOCAL) != nullptr);
  CHECK(registry->getCreator("BlockSparseAttention", "1", kSpace) != nullptr);
  CHECK(registry->getCreator("Svg2Plan", "1", kSpace) != nullptr);
}

}  // namespace
}  // namespace sparsedit::test

int main(int argc, char** argv) {
  using namespace sparsedit::test;
  if (argc != 4) {
    std::printf("usage: load_at_start_test LIBNVINFER LOADER PLUGIN_LIBRARY\n");
    return 2;
  }
  void* const nvinfer = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (nvinfer == nullptr) {
    std::printf("%s\n", dlerror());
    return 2;
  }
  const auto version = reinterpret_cast<std::int32_t (*)()>(dlsym(nvinfer, "getInferLibVersion"));
  if (version() < 110000) {
    TestPlugins<nvinfer1::trt10::IPluginRegistry>(nvinfer, argv[2], argv[3]);
  } else {
    TestPlugins<nvinfer1::trt11::IPluginRegistry>(nvinfer, argv[2], argv[3]);
  }
  return Report("load_at_start_test");
}
