// TensorRT's plugin interface: NVIDIA's headers where CMake was given TENSORRT_INCLUDE_DIR, else
// the project's own declarations of it. Nothing of TensorRT is linked in either case.
#ifndef SPARSEDIT_PLUGINS_TENSORRT_H_
#define SPARSEDIT_PLUGINS_TENSORRT_H_

#ifdef SPARSEDIT_NVIDIA_HEADERS
#include <NvInferRuntime.h>
namespace nvinfer1 {
using LogSeverity = ILogger::Severity;
}
#else
#include "plugins/trt_abi.h"
#endif

#endif  // SPARSEDIT_PLUGINS_TENSORRT_H_
