// A stand-in for libnvinfer: its plugin registry and its logger, as far as loading plugins needs
// them. STUB_MAJOR chooses between the loggers of TensorRT 10 and 11.
#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "plugins/trt_abi.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using namespace nvinfer1;
#if STUB_MAJOR == 10
namespace host = nvinfer1::trt10;
#else
namespace host = nvinfer1::trt11;
#endif

std::string messages;

class Logger final : public host::ILogger {
 public:
  void log(LogSeverity severity, const char* message) noexcept override {
    if (severity <= LogSeverity::kERROR) messages += std::string(message) + "\n";
  }
};

class LoggerFinder final : public host::ILoggerFinder {
 public:
  host::ILogger* findLogger() override { return &logger_; }

 private:
  Logger logger_;
};

class Registry final : public host::IPluginRegistry {
 public:
#if STUB_MAJOR == 10
  bool registerCreator(trt10::IPluginCreator&, const char*) noexcept override { return false; }
  trt10::IPluginCreator* const* getPluginCreatorList(std::int32_t*) const noexcept override {
    return nullptr;
  }
  trt10::IPluginCreator* getPluginCreator(const char*, const char*,
                                          const char*) noexcept override {
    return nullptr;
  }
  bool deregisterCreator(const trt10::IPluginCreator&) noexcept override { return false; }
#endif
  void setErrorRecorder(IErrorRecorder*) noexcept override {}
  IErrorRecorder* getErrorRecorder() const noexcept override { return nullptr; }
  bool isParentSearchEnabled() const override { return true; }
  void setParentSearchEnabled(bool) override {}

  void* loadLibrary(const char* path) noexcept override {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return nullptr;
    auto get = reinterpret_cast<IPluginCreatorInterface* const* (*)(std::int32_t&)>(
        dlsym(library, "getCreators"));
    auto set = reinterpret_cast<void (*)(void*)>(dlsym(library, "setLoggerFinder"));
    if (get == nullptr || set == nullptr) return nullptr;
    set(static_cast<host::ILoggerFinder*>(&finder_));
    std::int32_t count = 0;
    IPluginCreatorInterface* const* all = get(count);
    creators_.insert(creators_.end(), all, all + count);
    return library;
  }
  void deregisterLibrary(void* library) noexcept override {
    creators_.clear();
    dlclose(library);
  }
  bool registerCreator(IPluginCreatorInterface&, const char*) noexcept override { return false; }
  IPluginCreatorInterface* const* getAllCreators(std::int32_t* count) const noexcept override {
    *count = static_cast<std::int32_t>(creators_.size());
    return creators_.data();
  }
  IPluginCreatorInterface* getCreator(const char* name, const char* version,
                                      const char* name_space) noexcept override {
    for (IPluginCreatorInterface* candidate : creators_) {
      auto* creator = static_cast<IPluginCreatorV3One*>(candidate);
      if (std::strcmp(creator->getPluginName(), name) == 0 &&
          std::strcmp(creator->getPluginVersion(), version) == 0 &&
          std::strcmp(creator->getPluginNamespace(), name_space) == 0) {
        return creator;
      }
    }
    return nullptr;
  }
  bool deregisterCreator(const IPluginCreatorInterface&) noexcept override { return false; }
  IPluginResource* acquirePluginResource(const char*, IPluginResource*) noexcept override {
    return nullptr;
  }
  std::int32_t releasePluginResource(const char*) noexcept override { return 1; }
  IPluginCreatorInterface* const* getAllCreatorsRecursive(std::int32_t* count) noexcept override {
    return getAllCreators(count);
  }

 private:
  LoggerFinder finder_;
  std::vector<IPluginCreatorInterface*> creators_;
};

// Stands for any object of TensorRT: its virtual destructor comes first.
class Handle {
 public:
  explicit Handle(int* deleted) : deleted_(deleted) {}
  virtual ~Handle() { ++*deleted_; }

 private:
  int* deleted_;
};

// As nvonnxparser::IParser: virtual functions before the destructor.
class Parser {
 public:
  explicit Parser(int* deleted) : deleted_(deleted) {}
  virtual bool F0() { return false; }
  virtual bool F1() { return false; }
  virtual bool F2() { return false; }
  virtual bool F3() { return false; }
  virtual bool F4() { return false; }
  virtual bool F5() { return false; }
#if STUB_MAJOR == 10
  virtual bool F6() { return false; }
  virtual bool F7() { return false; }
#endif
  virtual ~Parser() { ++*deleted_; }
  virtual bool F8() { return false; }

 private:
  int* deleted_;
};

}  // namespace

EXPORT std::int32_t getInferLibVersion() noexcept { return STUB_MAJOR * 10000 + 600; }
EXPORT void* getPluginRegistry() noexcept {
  static Registry registry;
  return static_cast<host::IPluginRegistry*>(&registry);
}

// For the test: the errors that were logged since the last call, and objects to delete.
EXPORT const char* stubTakeMessages() {
  static std::string taken;
  taken.swap(messages);
  messages.clear();
  return taken.c_str();
}
EXPORT void* stubMakeHandle(int* deleted) { return new Handle(deleted); }
EXPORT void* stubMakeParser(int* deleted) { return new Parser(deleted); }
