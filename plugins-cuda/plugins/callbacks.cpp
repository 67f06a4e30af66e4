#include "plugins/callbacks.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace sparsedit::plugins {

void BuildProgress::phaseStart(const char* phase, const char*, std::int32_t steps) noexcept {
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    phases_.push_back({phase == nullptr ? "" : phase, 0, steps});
  } catch (...) {  // out of memory: a lost phase
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

BuildProgress::Phase BuildProgress::Current() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Phase* best = nullptr;
  for (const Phase& phase : phases_) {
    if (best == nullptr || best->steps <= 1) best = &phase;
  }
  return best == nullptr ? Phase{"", 0, 0} : *best;
}

void LayerTimes::reportLayerTime(const char* layer, float milliseconds) noexcept {
  try {
    char number[32];
    std::snprintf(number, sizeof number, "%.4f\t", milliseconds);
    const std::lock_guard<std::mutex> lock(mutex_);
    lines_ += std::string(number) + (layer == nullptr ? "" : layer) + "\n";
  } catch (...) {  // out of memory: a lost layer
  }
}

std::int64_t LayerTimes::Take(char* text, std::int64_t room) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto size = static_cast<std::int64_t>(lines_.size());
  if (size <= room) {
    std::memcpy(text, lines_.data(), lines_.size());
    lines_.clear();
  }
  return size;
}

}  // namespace sparsedit::plugins
