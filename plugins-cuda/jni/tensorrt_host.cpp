#include "jni/tensorrt_host.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>

namespace sparsedit::jni {
namespace {

using nvinfer1::LogSeverity;

constexpr int kMajor = 10;

// What was loaded; never unloaded, for TensorRT keeps this library's plugins.
struct Loaded {
  std::mutex mutex;
  void* infer = nullptr;
  void* parser = nullptr;
  std::int32_t version = 0;
};

Loaded& State() {
  static Loaded* const loaded = new Loaded();  // outlives every static destructor
  return *loaded;
}

void* Open(const std::string& folder, const std::string& name) {
  const std::string path = folder.empty() ? name : folder + "/" + name;
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) return library;
  const char* const why = dlerror();
  throw TensorRtError(why == nullptr ? path + " does not load" : why);
}

template <typename Function>
Function Symbol(void* library, const char* name) {
  void* const symbol = dlsym(library, name);
  if (symbol == nullptr) throw TensorRtError(std::string("TensorRT has no function ") + name);
  return reinterpret_cast<Function>(symbol);
}

// The path of this library, which TensorRT's registry loads its plugins from.
std::string OwnPath() {
  Dl_info where = {};
  if (dladdr(reinterpret_cast<void*>(&OwnPath), &where) == 0 || where.dli_fname == nullptr) {
    throw TensorRtError("the plugin library does not find its own path");
  }
  return where.dli_fname;
}

void RegisterPlugins(void* infer) {
  using Registry = nvinfer1::trt10::IPluginRegistry;
  auto* const registry = static_cast<Registry*>(Symbol<void* (*)()>(infer, "getPluginRegistry")());
  if (registry == nullptr || registry->loadLibrary(OwnPath().c_str()) == nullptr) {
    Fail("TensorRT does not take the plugins of " + OwnPath());
  }
}

// Where it fails, TensorRT 10.6 gives an address that is neither null nor an object's: what it logs
// decides.
void* Create(const char* function, const char* failure) {
  Loaded& state = State();
  Log().TakeErrors();
  void* const object =
      Symbol<void* (*)(void*, std::int32_t)>(state.infer, function)(&Log(), state.version);
  const std::string errors = Log().TakeErrors();
  if (!errors.empty()) throw TensorRtError(std::string(failure) + ": " + errors);
  if (object == nullptr) throw TensorRtError(failure);
  return object;
}

}  // namespace

MessageLog& Log() {
  static MessageLog* const log = new MessageLog();
  return *log;
}

void MessageLog::log(LogSeverity severity, const char* message) noexcept {
  if (severity > LogSeverity::kINFO || message == nullptr) return;
  try {
    const bool error = severity <= LogSeverity::kERROR;
    const char* const mark = error ? "E" : severity == LogSeverity::kWARNING ? "W" : "I";
    const std::lock_guard<std::mutex> lock(mutex_);
    messages_.push_back(std::string(mark) + message);
    if (messages_.size() > kMost) messages_.pop_front();
    if (!error) return;
    errors_.push_back(message);
    if (errors_.size() > 20) errors_.pop_front();
  } catch (...) {  // out of memory: a lost message
  }
}

std::vector<std::string> MessageLog::Take() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::string> taken(messages_.begin(), messages_.end());
  messages_.clear();
  return taken;
}

std::string MessageLog::TakeErrors() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string all;
  for (const std::string& error : errors_) all += (all.empty() ? "" : "; ") + error;
  errors_.clear();
  return all;
}

void BuildProgress::phaseStart(const char* phase, const char*, std::int32_t steps) noexcept {
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    phases_.push_back({phase == nullptr ? "" : phase, 0, steps});
  } catch (...) {
  }
}

bool BuildProgress::stepComplete(const char* phase, std::int32_t step) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (Phase& known : phases_) {
    if (phase != nullptr && known.name == phase) known.done = step + 1;
  }
  return !cancelled_;
}

void BuildProgress::phaseFinish(const char* phase) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto finished = std::find_if(phases_.begin(), phases_.end(), [&](const Phase& known) {
    return phase != nullptr && known.name == phase;
  });
  if (finished != phases_.end()) phases_.erase(finished);
}

std::string BuildProgress::Current() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Phase* best = nullptr;
  for (const Phase& phase : phases_) {
    if (best == nullptr || best->steps <= 1) best = &phase;
  }
  if (best == nullptr) return "";
  return best->name + "\t" + std::to_string(best->done) + "\t" + std::to_string(best->steps);
}

void LayerTimes::reportLayerTime(const char* layer, float milliseconds) noexcept {
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    layers_.emplace_back(layer == nullptr ? "" : layer, milliseconds);
  } catch (...) {
  }
}

std::string LayerTimes::Take() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string all;
  char number[32];
  for (const auto& [layer, milliseconds] : layers_) {
    std::snprintf(number, sizeof number, "%.4f\t", milliseconds);
    all += number + layer + "\n";
  }
  layers_.clear();
  return all;
}

std::int32_t OpenTensorRt(const std::string& folder) {
  Loaded& state = State();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.version != 0) return state.version;
  if (state.infer == nullptr) {
    state.infer = Open(folder, "libnvinfer.so." + std::to_string(kMajor));
  }
  const std::int32_t version = Symbol<std::int32_t (*)()>(state.infer, "getInferLibVersion")();
  if (version / 10000 != kMajor) {
    throw TensorRtError("libnvinfer is of TensorRT " + std::to_string(version / 10000) +
                        ", not of TensorRT " + std::to_string(kMajor));
  }
  RegisterPlugins(state.infer);
  state.version = version;
  return version;
}

void OpenParser(const std::string& folder) {
  Loaded& state = State();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.parser != nullptr) return;
  state.parser = Open(folder, "libnvonnxparser.so." + std::to_string(kMajor));
}

void* CreateRuntime() { return Create("createInferRuntime_INTERNAL", "TensorRT makes no runtime"); }

void* CreateBuilder() { return Create("createInferBuilder_INTERNAL", "TensorRT makes no builder"); }

void* CreateParser(void* network) {
  Loaded& state = State();
  const auto version = Symbol<std::int32_t (*)()>(state.parser, "getNvOnnxParserVersion")();
  void* const parser = Symbol<void* (*)(void*, void*, std::int32_t)>(
      state.parser, "createNvOnnxParser_INTERNAL")(network, &Log(), version);
  if (parser == nullptr) Fail("TensorRT makes no ONNX parser");
  return parser;
}

void Fail(const std::string& what) {
  const std::string errors = Log().TakeErrors();
  throw TensorRtError(errors.empty() ? what : what + ": " + errors);
}

}  // namespace sparsedit::jni
