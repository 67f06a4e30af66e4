#include "plugins/host.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sparsedit::plugins {
namespace {

using nvinfer1::LogSeverity;

std::atomic<void*> logger_finder{nullptr};
std::atomic<int> host_major{0};

// False where there is no logger.
template <typename Finder>
bool LogThrough(void* finder, LogSeverity severity, const char* message) {
  auto* logger = static_cast<Finder*>(finder)->findLogger();
  if (logger == nullptr) return false;
  logger->log(severity, message);
  return true;
}

// ILogger and ILoggerFinder gained a base in TensorRT 11; nothing else that a plugin calls changed.
bool LogToHost(LogSeverity severity, const char* message) {
  void* finder = logger_finder.load();
  if (finder == nullptr) return false;
#ifdef SPARSEDIT_NVIDIA_HEADERS
  if (host_major.load() != NV_TENSORRT_MAJOR) return false;
  return LogThrough<nvinfer1::ILoggerFinder>(finder, severity, message);
#else
  switch (host_major.load()) {
    case 10: return LogThrough<nvinfer1::trt10::ILoggerFinder>(finder, severity, message);
    case 11: return LogThrough<nvinfer1::trt11::ILoggerFinder>(finder, severity, message);
    default: return false;
  }
#endif
}

}  // namespace

int TensorRtMajorOf(const void* object) {
  Dl_info where = {};
  if (object == nullptr || dladdr(*static_cast<void* const*>(object), &where) == 0) return 0;
  void* library = dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  std::int32_t version = 0;
  if (library != nullptr) {
    const auto get = reinterpret_cast<std::int32_t (*)()>(dlsym(library, "getInferLibVersion"));
    if (get != nullptr) version = get();
    dlclose(library);
  }
  if (version != 0) return version / 10000;
  // The parser's library neither tells nor links the one that does: libnvonnxparser.so.10.
  const char* suffix = std::strstr(where.dli_fname, ".so.");
  const int named = suffix == nullptr ? 0 : std::atoi(suffix + 4);
  return named != 0 ? named : host_major.load();
}

void SetLoggerFinder(void* finder) {
  host_major = TensorRtMajorOf(finder);
  logger_finder = finder;
}

void Log(LogSeverity severity, const char* format, ...) {
  char message[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  if (LogToHost(severity, message)) return;
  if (severity <= LogSeverity::kERROR) std::fprintf(stderr, "sparsedit: %s\n", message);
}

}  // namespace sparsedit::plugins
