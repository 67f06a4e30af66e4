// TensorRT as its host sees it: the library found at run time, its log, the progress of a build and
// the times of layers. The plugin side is in plugins/.
#ifndef SPARSEDIT_JNI_TENSORRT_HOST_H_
#define SPARSEDIT_JNI_TENSORRT_HOST_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "jni/tensorrt_slots.h"
#include "plugins/trt_abi.h"

namespace nvinfer1::v_1_0 {

// As NVIDIA declares them, for a host that implements them.
class IProgressMonitor : public IVersionedInterface {
 public:
  InterfaceInfo getInterfaceInfo() const noexcept override { return {"IProgressMonitor", 1, 0}; }
  virtual void phaseStart(const char* phase, const char* parent, std::int32_t steps) noexcept = 0;
  virtual bool stepComplete(const char* phase, std::int32_t step) noexcept = 0;
  virtual void phaseFinish(const char* phase) noexcept = 0;
};

class IProfiler {
 public:
  virtual void reportLayerTime(const char* layer, float milliseconds) noexcept = 0;
  virtual ~IProfiler() noexcept = default;
};

}  // namespace nvinfer1::v_1_0

namespace sparsedit::jni {

// A failed call, with what TensorRT logged as errors on the way.
class TensorRtError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Collects what TensorRT logs, from any thread, until it is taken.
class MessageLog final : public nvinfer1::trt10::ILogger {
 public:
  void log(nvinfer1::LogSeverity severity, const char* message) noexcept override;
  // Each begins with its severity: E, W, I.
  std::vector<std::string> Take();
  // The errors since the last call, joined, for the message of a failure.
  std::string TakeErrors();

 private:
  static constexpr std::size_t kMost = 1000;
  std::mutex mutex_;
  std::deque<std::string> messages_;
  std::deque<std::string> errors_;
};

// The phase that a build is in; written by TensorRT's threads, read by another.
class BuildProgress final : public nvinfer1::v_1_0::IProgressMonitor {
 public:
  void phaseStart(const char* phase, const char* parent, std::int32_t steps) noexcept override;
  bool stepComplete(const char* phase, std::int32_t step) noexcept override;
  void phaseFinish(const char* phase) noexcept override;

  // "phase\tsteps done\tsteps" of the outermost phase with steps; empty before the first.
  std::string Current();
  void Cancel() { cancelled_ = true; }

 private:
  struct Phase {
    std::string name;
    std::int32_t done;
    std::int32_t steps;
  };
  std::mutex mutex_;
  std::vector<Phase> phases_;
  std::atomic<bool> cancelled_{false};
};

// Times of the layers of one run.
class LayerTimes final : public nvinfer1::v_1_0::IProfiler {
 public:
  void reportLayerTime(const char* layer, float milliseconds) noexcept override;
  // "milliseconds\tlayer" a line, in the order of execution; forgets them.
  std::string Take();

 private:
  std::mutex mutex_;
  std::vector<std::pair<std::string, float>> layers_;
};

// Process-wide: TensorRT keeps one logger and one plugin registry a process.
MessageLog& Log();

// Loads libnvinfer from a folder, or from where the system's loader looks if it is empty, and
// registers this library's plugins there. Idempotent; returns major * 10000 + minor * 100 + patch.
std::int32_t OpenTensorRt(const std::string& folder);
// Loads libnvonnxparser.
void OpenParser(const std::string& folder);

void* CreateRuntime();
void* CreateBuilder();
void* CreateParser(void* network);

// Calls the function at a position of an object's table.
template <typename Result, typename... Arguments>
Result CallSlot(void* object, int slot, Arguments... arguments) {
  using Function = Result (*)(void*, Arguments...);
  return (*static_cast<Function* const*>(object))[slot](object, arguments...);
}

// Of an object of nvinfer1: the function of its implementation.
template <typename Result, typename... Arguments>
Result Call(void* object, int slot, Arguments... arguments) {
  void* implementation =
      *reinterpret_cast<void**>(static_cast<char*>(object) + kImplementationOffset);
  return CallSlot<Result, Arguments...>(implementation, slot, arguments...);
}

// Throws what was logged, prefixed by what failed.
[[noreturn]] void Fail(const std::string& what);

}  // namespace sparsedit::jni

#endif  // SPARSEDIT_JNI_TENSORRT_HOST_H_
