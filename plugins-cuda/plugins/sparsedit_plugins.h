/* The C interface of libsparsedit_plugins.so, beside TensorRT's own entry points (getCreators and
 * setLoggerFinder, by which IPluginRegistry::loadLibrary takes the plugins in).
 *
 * Every function has the form void f(void*), so that hosts which can only call "a destructor at an
 * address", as JavaCPP can, need no glue code. */
#ifndef SPARSEDIT_PLUGINS_SPARSEDIT_PLUGINS_H_
#define SPARSEDIT_PLUGINS_SPARSEDIT_PLUGINS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What sparsedit_plugin_version fills; 256 bytes. CUDA versions are major * 1000 + minor * 10. */
typedef struct sparsedit_plugin_version_t {
  int32_t bytes;          /* in: size of the memory given; out: bytes filled */
  int32_t plugin_version; /* plugin_version of the nodes that the plugins accept: 1 */
  int32_t cuda_runtime;   /* the CUDA runtime in the library */
  int32_t cuda_needed;    /* the CUDA version that the driver must support at least */
  int32_t cuda_driver;    /* the one that this machine's driver supports; 0 without a driver */
  int32_t tensorrt;       /* TensorRT of the headers, as getInferLibVersion; 0: the project's own
                             declarations, for 10.0 to 11.2 */
  char targets[96];       /* what the kernels were compiled for, such as "sm_80 sm_90 compute_90
                             sm_90a": machine code for sm_N, PTX for compute_N */
  char nodes[96];         /* "Svg2Plan SvgPlan BlockSparseAttention" */
  int32_t reserved[10];
} sparsedit_plugin_version_t;

/* Needs neither TensorRT nor a GPU. */
void sparsedit_plugin_version(void* version);

/* `delete` of TensorRT's objects, which its C++ interface leaves to the caller and JavaCPP does not
 * offer. Null is ignored. What an object belongs to must be deleted after it: a context before its
 * engine, an engine before its runtime, parser and configuration before network and builder. */
void sparsedit_delete_builder(void* object);
void sparsedit_delete_network(void* object);
void sparsedit_delete_builder_config(void* object);
void sparsedit_delete_timing_cache(void* object);
void sparsedit_delete_onnx_parser(void* object);
void sparsedit_delete_host_memory(void* object);
void sparsedit_delete_runtime(void* object);
void sparsedit_delete_engine(void* object);
void sparsedit_delete_execution_context(void* object);
void sparsedit_delete_engine_inspector(void* object);
void sparsedit_delete_serialization_config(void* object);

#ifdef __cplusplus
}
#endif

#endif /* SPARSEDIT_PLUGINS_SPARSEDIT_PLUGINS_H_ */
