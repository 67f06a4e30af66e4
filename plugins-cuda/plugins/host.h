// The TensorRT that loaded this library: its version, and its log; and the GPU.
#ifndef SPARSEDIT_PLUGINS_HOST_H_
#define SPARSEDIT_PLUGINS_HOST_H_

#include <cstdint>
#include <string>

#include "plugins/tensorrt.h"

namespace sparsedit::plugins {

// The major version of TensorRT that `object`, which has virtual functions, belongs to: by the
// library that implements it, or else that of the host of this library; 0 if neither is known.
int TensorRtMajorOf(const void* object);

// Where TensorRT's loggers are found, as TensorRT tells through setLoggerFinder; null forgets it.
void SetLoggerFinder(void* finder);

// To TensorRT's log. Without one, errors go to stderr and the rest nowhere.
__attribute__((format(printf, 2, 3)))
void Log(nvinfer1::LogSeverity severity, const char* format, ...);

// The current GPU and what the kernels are compiled for, for a launch that failed: "compute capability
// 7.5, kernels for sm_80 sm_90 compute_90".
std::string DeviceText();

}  // namespace sparsedit::plugins

#endif  // SPARSEDIT_PLUGINS_HOST_H_
