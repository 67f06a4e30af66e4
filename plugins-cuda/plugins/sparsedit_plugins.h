/* The C interface of libsparsedit_plugins.so, beside TensorRT's own entry points (getCreators and
 * setLoggerFinder, by which IPluginRegistry::loadLibrary takes the plugins in): what a host needs
 * that has TensorRT through bindings alone, as JavaCPP's presets are.
 *
 * Every function has the form void f(void*), so that a host needs one way to call them all. What
 * the pointer is to stands before each; null is ignored. Texts are UTF-8 and end with a zero;
 * longer ones are cut. Where a structure has a message, an empty one means success. */
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
  char nodes[96];         /* "Svg2Plan SvgPlan AdaSpaPlan BlockSparseAttention QkNormRope" */
  int32_t reserved[10];
} sparsedit_plugin_version_t;

/* sparsedit_plugin_version_t: needs neither TensorRT nor a GPU. */
void sparsedit_plugin_version(void* version);

/* What sparsedit_gpu fills; 544 bytes. */
typedef struct sparsedit_gpu_t {
  int32_t count;      /* GPUs that this process can use; 0 where CUDA fails */
  int32_t capability; /* of the first: compute capability, major * 10 + minor */
  int64_t memory;     /* of the first: bytes */
  char name[256];     /* of the first, as in "NVIDIA H200" */
  char message[272];  /* CUDA's words where it fails */
} sparsedit_gpu_t;

/* sparsedit_gpu_t: asks the CUDA runtime in this library; needs nothing of TensorRT. */
void sparsedit_gpu(void* gpu);

/* What sparsedit_open takes; 8,192 bytes. */
typedef struct sparsedit_open_t {
  char library[4096]; /* in: a file, or the name of a library that the system's loader finds */
  char message[4096]; /* out: why it does not load */
} sparsedit_open_t;

/* sparsedit_open_t: loads a shared library for good, so that those which name it find it whatever
 * LD_LIBRARY_PATH says. Its symbols stay local. */
void sparsedit_open(void* open);

/* What sparsedit_map and sparsedit_unmap take; 8,208 bytes. */
typedef struct sparsedit_map_t {
  char file[4096];    /* in */
  void* data;         /* out of map, in of unmap */
  int64_t bytes;      /* out of map, in of unmap */
  char message[4096]; /* out of map: why it cannot be read */
} sparsedit_map_t;

/* sparsedit_map_t: a file as memory to read, also where it is larger than 2 GiB. */
void sparsedit_map(void* map);
void sparsedit_unmap(void* map);

/* What makes an object for the host gives it so. */
typedef struct sparsedit_object_t {
  void* object; /* out; null where memory is exhausted */
} sparsedit_object_t;

/* What sparsedit_read_progress fills; 256 bytes. */
typedef struct sparsedit_progress_t {
  void* object; /* in: the progress */
  int32_t done; /* steps that are done of ... */
  int32_t steps;
  char phase[240]; /* ... the outermost phase that has steps; empty before the first */
} sparsedit_progress_t;

/* sparsedit_object_t: an nvinfer1::IProgressMonitor for IBuilderConfig::setProgressMonitor, which
 * keeps the state of the build for another thread to read. Delete it after the configuration. */
void sparsedit_new_progress(void* object);
/* sparsedit_progress_t. */
void sparsedit_read_progress(void* progress);
/* The progress itself: the build ends at its next step. */
void sparsedit_cancel_progress(void* object);
void sparsedit_delete_progress(void* object);

/* What sparsedit_take_layer_times fills; 16 bytes and the text. */
typedef struct sparsedit_layer_times_t {
  void* object;  /* in: the layer times */
  int64_t bytes; /* in: room for the text; out: bytes of the text */
  /* out: a line for each layer that ran, in order: milliseconds, a tab, the name; no zero at the
     end. Where the room does not suffice nothing is written or forgotten. */
} sparsedit_layer_times_t;

/* sparsedit_object_t: an nvinfer1::IProfiler for IExecutionContext::setProfiler, which keeps the
 * times. Delete it after the context. */
void sparsedit_new_layer_times(void* object);
/* sparsedit_layer_times_t, with the text behind it: gives the times and forgets them. */
void sparsedit_take_layer_times(void* times);
void sparsedit_delete_layer_times(void* object);

/* `delete` of TensorRT's objects, which its C++ interface leaves to the caller and JavaCPP does not
 * offer. What an object belongs to must be deleted after it: a context before its
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

#ifdef __cplusplus
}
#endif

#endif /* SPARSEDIT_PLUGINS_SPARSEDIT_PLUGINS_H_ */
