// What TensorRT calls back while it builds and runs, for hosts that cannot implement its interfaces:
// the progress of a build and the times of layers, kept until they are asked for.
//
// Always compiled against the project's own declarations, also where NVIDIA's headers are given.
#ifndef SPARSEDIT_PLUGINS_CALLBACKS_H_
#define SPARSEDIT_PLUGINS_CALLBACKS_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

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

namespace sparsedit::plugins {

// The phase that a build is in; written by TensorRT's threads, read by another.
class BuildProgress final : public nvinfer1::v_1_0::IProgressMonitor {
 public:
  struct Phase {
    std::string name;
    std::int32_t done;
    std::int32_t steps;
  };

  void phaseStart(const char* phase, const char* parent, std::int32_t steps) noexcept override;
  bool stepComplete(const char* phase, std::int32_t step) noexcept override;
  void phaseFinish(const char* phase) noexcept override;

  // The outermost phase with steps; without a name before the first.
  Phase Current();
  void Cancel() { cancelled_ = true; }

 private:
  std::mutex mutex_;
  std::vector<Phase> phases_;
  std::atomic<bool> cancelled_{false};
};

// Times of the layers of one run.
class LayerTimes final : public nvinfer1::v_1_0::IProfiler {
 public:
  void reportLayerTime(const char* layer, float milliseconds) noexcept override;
  // Writes "milliseconds\tlayer" a line, in the order of execution, and forgets them, if `room`
  // suffices. The number of bytes.
  std::int64_t Take(char* text, std::int64_t room);

 private:
  std::mutex mutex_;
  std::string lines_;
};

}  // namespace sparsedit::plugins

#endif  // SPARSEDIT_PLUGINS_CALLBACKS_H_
