// The native methods of io.sparsedit.tensorrt.Native: CUDA and TensorRT for the Java side. Each does
// one call; handles are addresses, and who owns them is the Java classes' business. A failure is
// thrown as io.sparsedit.tensorrt.TensorRtException.
#include <cuda_runtime_api.h>
#include <fcntl.h>
#include <jni.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "jni/tensorrt_host.h"
#include "plugins/sparsedit_plugins.h"

namespace sparsedit::jni {
namespace {

using nvinfer1::Dims;

void* ToPointer(jlong handle) { return reinterpret_cast<void*>(handle); }
jlong ToHandle(const void* pointer) { return reinterpret_cast<jlong>(pointer); }
cudaStream_t ToStream(jlong handle) { return static_cast<cudaStream_t>(ToPointer(handle)); }

void Throw(JNIEnv* env, const char* message) {
  if (env->ExceptionCheck()) return;
  const jclass type = env->FindClass("io/sparsedit/tensorrt/TensorRtException");
  if (type != nullptr) env->ThrowNew(type, message);
}

// Runs the body; what it throws becomes a Java exception, and the result is then 0.
template <typename Body>
auto Guard(JNIEnv* env, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::exception& e) {
    Throw(env, e.what());
  } catch (...) {
    Throw(env, "TensorRT threw an exception");
  }
  return decltype(body())();
}

void Check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // clears it where it does not stick
  throw TensorRtError(std::string(what) + ": " + cudaGetErrorString(code) + " (CUDA error " +
                      std::to_string(static_cast<int>(code)) + ")");
}

std::string ToText(JNIEnv* env, jstring text) {
  const char* const chars = env->GetStringUTFChars(text, nullptr);
  if (chars == nullptr) throw TensorRtError("out of memory");
  std::string copy = chars;
  env->ReleaseStringUTFChars(text, chars);
  return copy;
}

jstring ToJava(JNIEnv* env, const std::string& text) { return env->NewStringUTF(text.c_str()); }

jlongArray ToJava(JNIEnv* env, const Dims& dims) {
  if (dims.nbDims < 0 || dims.nbDims > Dims::MAX_DIMS) {
    throw TensorRtError("a tensor's shape is not known");
  }
  const jlongArray array = env->NewLongArray(dims.nbDims);
  if (array != nullptr) {
    const std::vector<jlong> values(dims.d, dims.d + dims.nbDims);
    env->SetLongArrayRegion(array, 0, dims.nbDims, values.data());
  }
  return array;
}

Dims ToDims(JNIEnv* env, jlongArray array) {
  Dims dims = {};
  dims.nbDims = env->GetArrayLength(array);
  if (dims.nbDims > Dims::MAX_DIMS) throw TensorRtError("a tensor has more than 8 dimensions");
  std::vector<jlong> values(static_cast<std::size_t>(dims.nbDims));
  env->GetLongArrayRegion(array, 0, dims.nbDims, values.data());
  std::copy(values.begin(), values.end(), dims.d);
  return dims;
}

char* AddressOf(JNIEnv* env, jobject buffer) {
  void* const address = env->GetDirectBufferAddress(buffer);
  if (address == nullptr) throw TensorRtError("not a direct buffer");
  return static_cast<char*>(address);
}

void* NotNull(void* object, const char* what) {
  if (object == nullptr) Fail(what);
  return object;
}

// A file mapped for reading.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status = {};
    if (file < 0 || fstat(file, &status) != 0) {
      const std::string why = std::strerror(errno);
      if (file >= 0) close(file);
      throw TensorRtError(path + ": " + why);
    }
    size_ = static_cast<std::size_t>(status.st_size);
    data_ = size_ == 0 ? MAP_FAILED : mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (data_ == MAP_FAILED) throw TensorRtError(path + " cannot be mapped into memory");
  }
  ~MappedFile() { munmap(data_, size_); }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  const void* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

// What TensorRT gave in its own memory.
class HostMemory {
 public:
  explicit HostMemory(void* object) : object_(object) {}
  ~HostMemory() { sparsedit_delete_host_memory(object_); }
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;
  const char* data() const {
    return static_cast<const char*>(Call<void*>(object_, kHostMemoryData));
  }
  std::size_t size() const { return Call<std::size_t>(object_, kHostMemorySize); }

 private:
  void* object_;
};

void WriteFile(const std::string& path, const char* data, std::size_t size) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"),
                                                              &std::fclose);
  if (file == nullptr || std::fwrite(data, 1, size, file.get()) != size ||
      std::fflush(file.get()) != 0 || fsync(fileno(file.get())) != 0) {
    throw TensorRtError(path + " cannot be written: " + std::strerror(errno));
  }
}

// What a parser found wrong, a line for each fault with the node where it occurred first.
std::string ParserErrors(void* parser) {
  std::vector<std::string> faults;
  std::string all;
  const int count = CallSlot<int>(parser, kParserGetNbErrors);
  for (int i = 0; i < count; ++i) {
    void* const error = const_cast<void*>(CallSlot<const void*, int>(parser, kParserGetError, i));
    const auto text = [&](int slot) {
      const char* const found = CallSlot<const char*>(error, slot);
      return std::string(found == nullptr ? "" : found);
    };
    const std::string fault = text(kParserErrorNodeOperator) + ": " + text(kParserErrorDesc);
    if (std::find(faults.begin(), faults.end(), fault) != faults.end()) continue;
    faults.push_back(fault);
    all += (all.empty() ? "" : "\n") + fault + " (node " + text(kParserErrorNodeName) + ")";
  }
  return all;
}

}  // namespace
}  // namespace sparsedit::jni

using namespace sparsedit::jni;

#define NATIVE(result, name) \
  extern "C" JNIEXPORT result JNICALL Java_io_sparsedit_tensorrt_Native_##name

// ------------------------------------------------------------------------------------------- CUDA

NATIVE(jint, deviceCount)(JNIEnv* env, jclass) {
  return Guard(env, [&]() -> jint {
    int count = 0;
    const cudaError_t code = cudaGetDeviceCount(&count);
    if (code == cudaSuccess) return count;
    cudaGetLastError();
    return -static_cast<jint>(code);
  });
}

NATIVE(jstring, cudaErrorText)(JNIEnv* env, jclass, jint code) {
  return env->NewStringUTF(cudaGetErrorString(static_cast<cudaError_t>(code)));
}

NATIVE(void, pluginVersion)(JNIEnv* env, jclass, jobject memory) {
  Guard(env, [&] { sparsedit_plugin_version(AddressOf(env, memory)); });
}

NATIVE(jstring, deviceName)(JNIEnv* env, jclass, jint device) {
  return Guard(env, [&] {
    cudaDeviceProp properties = {};
    Check(cudaGetDeviceProperties(&properties, device), "the GPU cannot be asked");
    return ToJava(env, properties.name);
  });
}

NATIVE(jint, deviceCapability)(JNIEnv* env, jclass, jint device) {
  return Guard(env, [&]() -> jint {
    int major = 0, minor = 0;
    Check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
          "the GPU cannot be asked");
    Check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device),
          "the GPU cannot be asked");
    return major * 10 + minor;
  });
}

NATIVE(jlongArray, memoryInfo)(JNIEnv* env, jclass) {
  return Guard(env, [&] {
    std::size_t free = 0, total = 0;
    Check(cudaMemGetInfo(&free, &total), "the GPU cannot be asked");
    const jlong values[2] = {static_cast<jlong>(free), static_cast<jlong>(total)};
    const jlongArray array = env->NewLongArray(2);
    if (array != nullptr) env->SetLongArrayRegion(array, 0, 2, values);
    return array;
  });
}

NATIVE(jlong, allocate)(JNIEnv* env, jclass, jlong bytes) {
  return Guard(env, [&] {
    void* memory = nullptr;
    Check(cudaMalloc(&memory, static_cast<std::size_t>(bytes)),
          ("no " + std::to_string(bytes) + " bytes of GPU memory").c_str());
    return ToHandle(memory);
  });
}

NATIVE(void, free)(JNIEnv* env, jclass, jlong memory) {
  Guard(env, [&] { Check(cudaFree(ToPointer(memory)), "GPU memory cannot be freed"); });
}

NATIVE(jobject, allocatePinned)(JNIEnv* env, jclass, jlong bytes) {
  return Guard(env, [&] {
    void* memory = nullptr;
    Check(cudaHostAlloc(&memory, static_cast<std::size_t>(bytes), cudaHostAllocDefault),
          ("no " + std::to_string(bytes) + " bytes of pinned memory").c_str());
    return env->NewDirectByteBuffer(memory, bytes);
  });
}

NATIVE(void, freePinned)(JNIEnv* env, jclass, jobject buffer) {
  Guard(env, [&] { Check(cudaFreeHost(AddressOf(env, buffer)), "pinned memory cannot be freed"); });
}

NATIVE(void, clear)(JNIEnv* env, jclass, jlong memory, jlong bytes, jlong stream) {
  Guard(env, [&] {
    Check(cudaMemsetAsync(ToPointer(memory), 0, static_cast<std::size_t>(bytes), ToStream(stream)),
          "GPU memory cannot be cleared");
  });
}

NATIVE(void, copyToDevice)
(JNIEnv* env, jclass, jlong to, jobject from, jlong bytes, jlong stream) {
  Guard(env, [&] {
    Check(cudaMemcpyAsync(ToPointer(to), AddressOf(env, from), static_cast<std::size_t>(bytes),
                          cudaMemcpyHostToDevice, ToStream(stream)),
          "a copy to the GPU failed");
  });
}

NATIVE(void, copyToHost)
(JNIEnv* env, jclass, jobject to, jlong from, jlong bytes, jlong stream) {
  Guard(env, [&] {
    Check(cudaMemcpyAsync(AddressOf(env, to), ToPointer(from), static_cast<std::size_t>(bytes),
                          cudaMemcpyDeviceToHost, ToStream(stream)),
          "a copy from the GPU failed");
  });
}

NATIVE(jlong, newStream)(JNIEnv* env, jclass) {
  return Guard(env, [&] {
    cudaStream_t stream = nullptr;
    Check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "no CUDA stream");
    return ToHandle(stream);
  });
}

NATIVE(void, deleteStream)(JNIEnv* env, jclass, jlong stream) {
  Guard(env, [&] { Check(cudaStreamDestroy(ToStream(stream)), "a CUDA stream cannot be closed"); });
}

NATIVE(void, synchronize)(JNIEnv* env, jclass, jlong stream) {
  Guard(env, [&] { Check(cudaStreamSynchronize(ToStream(stream)), "the GPU failed"); });
}

NATIVE(void, beginCapture)(JNIEnv* env, jclass, jlong stream) {
  Guard(env, [&] {
    Check(cudaStreamBeginCapture(ToStream(stream), cudaStreamCaptureModeThreadLocal),
          "a CUDA graph cannot be recorded");
  });
}

NATIVE(jlong, endCapture)(JNIEnv* env, jclass, jlong stream) {
  return Guard(env, [&] {
    cudaGraph_t graph = nullptr;
    Check(cudaStreamEndCapture(ToStream(stream), &graph), "a CUDA graph cannot be recorded");
    if (graph == nullptr) throw TensorRtError("a CUDA graph cannot be recorded");
    cudaGraphExec_t executable = nullptr;
    const cudaError_t code = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    Check(code, "a CUDA graph cannot be made");
    return ToHandle(executable);
  });
}

NATIVE(void, launchGraph)(JNIEnv* env, jclass, jlong graph, jlong stream) {
  Guard(env, [&] {
    Check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(ToPointer(graph)), ToStream(stream)),
          "a CUDA graph does not start");
  });
}

NATIVE(void, deleteGraph)(JNIEnv* env, jclass, jlong graph) {
  Guard(env, [&] {
    Check(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(ToPointer(graph))),
          "a CUDA graph cannot be closed");
  });
}

// --------------------------------------------------------------------------------------- TensorRT

NATIVE(jint, openTensorRt)(JNIEnv* env, jclass, jstring folder) {
  return Guard(env, [&]() -> jint { return OpenTensorRt(ToText(env, folder)); });
}

NATIVE(void, openParser)(JNIEnv* env, jclass, jstring folder) {
  Guard(env, [&] { OpenParser(ToText(env, folder)); });
}

NATIVE(jobjectArray, takeMessages)(JNIEnv* env, jclass) {
  return Guard(env, [&]() -> jobjectArray {
    const std::vector<std::string> messages = Log().Take();
    const jobjectArray array = env->NewObjectArray(static_cast<jsize>(messages.size()),
                                                   env->FindClass("java/lang/String"), nullptr);
    for (std::size_t i = 0; array != nullptr && i < messages.size(); ++i) {
      const jstring text = ToJava(env, messages[i]);
      env->SetObjectArrayElement(array, static_cast<jsize>(i), text);
      env->DeleteLocalRef(text);
    }
    return array;
  });
}

// ---- an engine, and running it

NATIVE(jlong, newRuntime)(JNIEnv* env, jclass) {
  return Guard(env, [&] { return ToHandle(CreateRuntime()); });
}

NATIVE(void, deleteRuntime)(JNIEnv*, jclass, jlong runtime) {
  sparsedit_delete_runtime(ToPointer(runtime));
}

NATIVE(jlong, loadEngine)(JNIEnv* env, jclass, jlong runtime, jstring path) {
  return Guard(env, [&] {
    const MappedFile file(ToText(env, path));
    Log().TakeErrors();
    return ToHandle(NotNull(Call<void*, const void*, std::size_t>(
                                ToPointer(runtime), kRuntimeDeserialize, file.data(), file.size()),
                            "TensorRT does not load the engine"));
  });
}

NATIVE(void, deleteEngine)(JNIEnv*, jclass, jlong engine) {
  sparsedit_delete_engine(ToPointer(engine));
}

NATIVE(jint, tensorCount)(JNIEnv* env, jclass, jlong engine) {
  return Guard(env,
               [&]() -> jint { return Call<std::int32_t>(ToPointer(engine), kEngineGetNbIoTensors); });
}

NATIVE(jstring, tensorName)(JNIEnv* env, jclass, jlong engine, jint index) {
  return Guard(env, [&] {
    const char* const name = Call<const char*, std::int32_t>(ToPointer(engine),
                                                             kEngineGetIoTensorName, index);
    return ToJava(env, name == nullptr ? "" : name);
  });
}

NATIVE(jint, tensorMode)(JNIEnv* env, jclass, jlong engine, jstring name) {
  return Guard(env, [&]() -> jint {
    return Call<std::int32_t, const char*>(ToPointer(engine), kEngineGetTensorIoMode,
                                           ToText(env, name).c_str());
  });
}

NATIVE(jint, tensorType)(JNIEnv* env, jclass, jlong engine, jstring name) {
  return Guard(env, [&]() -> jint {
    return Call<std::int32_t, const char*>(ToPointer(engine), kEngineGetTensorDataType,
                                           ToText(env, name).c_str());
  });
}

NATIVE(jint, tensorLocation)(JNIEnv* env, jclass, jlong engine, jstring name) {
  return Guard(env, [&]() -> jint {
    return Call<std::int32_t, const char*>(ToPointer(engine), kEngineGetTensorLocation,
                                           ToText(env, name).c_str());
  });
}

NATIVE(jlongArray, tensorShape)(JNIEnv* env, jclass, jlong engine, jstring name) {
  return Guard(env, [&] {
    return ToJava(env, Call<Dims, const char*>(ToPointer(engine), kEngineGetTensorShape,
                                               ToText(env, name).c_str()));
  });
}

NATIVE(jlongArray, profileShape)
(JNIEnv* env, jclass, jlong engine, jstring name, jint selector) {
  return Guard(env, [&] {
    return ToJava(env, Call<Dims, const char*, std::int32_t, std::int32_t>(
                           ToPointer(engine), kEngineGetProfileShape, ToText(env, name).c_str(), 0,
                           selector));
  });
}

NATIVE(jstring, layers)(JNIEnv* env, jclass, jlong engine, jlong context) {
  return Guard(env, [&] {
    constexpr std::int32_t kJson = 1;
    void* const inspector = NotNull(Call<void*>(ToPointer(engine), kEngineCreateInspector),
                                    "TensorRT makes no inspector");
    if (context != 0) {
      Call<bool, void*>(inspector, kInspectorSetContext, ToPointer(context));
    }
    const char* const text =
        Call<const char*, std::int32_t>(inspector, kInspectorGetEngineInformation, kJson);
    const jstring java = ToJava(env, text == nullptr ? "" : text);
    sparsedit_delete_engine_inspector(inspector);
    return java;
  });
}

NATIVE(jlong, newContext)(JNIEnv* env, jclass, jlong engine) {
  return Guard(env, [&] {
    constexpr std::int32_t kStatic = 0;  // all memory at once
    Log().TakeErrors();
    return ToHandle(NotNull(
        Call<void*, std::int32_t>(ToPointer(engine), kEngineCreateContext, kStatic),
        "TensorRT makes no execution context (is the GPU's memory full?)"));
  });
}

NATIVE(void, deleteContext)(JNIEnv*, jclass, jlong context) {
  sparsedit_delete_execution_context(ToPointer(context));
}

NATIVE(void, setInputShape)(JNIEnv* env, jclass, jlong context, jstring name, jlongArray shape) {
  Guard(env, [&] {
    const Dims dims = ToDims(env, shape);
    const std::string text = ToText(env, name);
    if (!Call<bool, const char*, const Dims&>(ToPointer(context), kContextSetInputShape,
                                              text.c_str(), dims)) {
      Fail("TensorRT does not take this shape of " + text);
    }
  });
}

NATIVE(jlongArray, contextShape)(JNIEnv* env, jclass, jlong context, jstring name) {
  return Guard(env, [&] {
    return ToJava(env, Call<Dims, const char*>(ToPointer(context), kContextGetTensorShape,
                                               ToText(env, name).c_str()));
  });
}

NATIVE(void, setAddress)(JNIEnv* env, jclass, jlong context, jstring name, jlong address) {
  Guard(env, [&] {
    const std::string text = ToText(env, name);
    if (!Call<bool, const char*, void*>(ToPointer(context), kContextSetTensorAddress, text.c_str(),
                                        ToPointer(address))) {
      Fail("TensorRT does not take the memory of " + text);
    }
  });
}

NATIVE(void, enqueue)(JNIEnv* env, jclass, jlong context, jlong stream) {
  Guard(env, [&] {
    Log().TakeErrors();
    if (!Call<bool, cudaStream_t>(ToPointer(context), kContextEnqueue, ToStream(stream))) {
      Fail("TensorRT does not run the engine");
    }
  });
}

NATIVE(jlong, newLayerTimes)(JNIEnv* env, jclass, jlong context) {
  return Guard(env, [&] {
    auto* const times = new LayerTimes();
    Call<void, nvinfer1::v_1_0::IProfiler*>(ToPointer(context), kContextSetProfiler, times);
    return ToHandle(times);
  });
}

NATIVE(jstring, takeLayerTimes)(JNIEnv* env, jclass, jlong times) {
  return Guard(env, [&] { return ToJava(env, static_cast<LayerTimes*>(ToPointer(times))->Take()); });
}

// After its context.
NATIVE(void, deleteLayerTimes)(JNIEnv*, jclass, jlong times) {
  delete static_cast<LayerTimes*>(ToPointer(times));
}

// ---- building an engine

NATIVE(jlong, newBuilder)(JNIEnv* env, jclass) {
  return Guard(env, [&] { return ToHandle(CreateBuilder()); });
}

NATIVE(void, deleteBuilder)(JNIEnv*, jclass, jlong builder) {
  sparsedit_delete_builder(ToPointer(builder));
}

NATIVE(jlong, newNetwork)(JNIEnv* env, jclass, jlong builder) {
  return Guard(env, [&] {
    constexpr std::uint32_t kStronglyTyped = 1u << 1;
    return ToHandle(NotNull(
        Call<void*, std::uint32_t>(ToPointer(builder), kBuilderCreateNetwork, kStronglyTyped),
        "TensorRT makes no network"));
  });
}

NATIVE(void, deleteNetwork)(JNIEnv*, jclass, jlong network) {
  sparsedit_delete_network(ToPointer(network));
}

NATIVE(jlong, newConfig)(JNIEnv* env, jclass, jlong builder) {
  return Guard(env, [&] {
    return ToHandle(NotNull(Call<void*>(ToPointer(builder), kBuilderCreateConfig),
                            "TensorRT makes no builder configuration"));
  });
}

NATIVE(void, deleteConfig)(JNIEnv*, jclass, jlong config) {
  sparsedit_delete_builder_config(ToPointer(config));
}

NATIVE(jlong, newParser)(JNIEnv* env, jclass, jlong network) {
  return Guard(env, [&] { return ToHandle(CreateParser(ToPointer(network))); });
}

NATIVE(void, deleteParser)(JNIEnv*, jclass, jlong parser) {
  sparsedit_delete_onnx_parser(ToPointer(parser));
}

// The model stays where it is until the parser is deleted.
NATIVE(void, parse)(JNIEnv* env, jclass, jlong parser, jobject model, jlong bytes, jstring path) {
  Guard(env, [&] {
    Log().TakeErrors();
    const bool parsed = CallSlot<bool, const void*, std::size_t, const char*>(
        ToPointer(parser), kParserParse, AddressOf(env, model), static_cast<std::size_t>(bytes),
        ToText(env, path).c_str());
    if (parsed) return;
    const std::string logged = Log().TakeErrors();
    const std::string errors = ParserErrors(ToPointer(parser));
    throw TensorRtError(errors.empty() ? logged : errors);
  });
}

NATIVE(jint, inputCount)(JNIEnv* env, jclass, jlong network) {
  return Guard(env,
               [&]() -> jint { return Call<std::int32_t>(ToPointer(network), kNetworkGetNbInputs); });
}

NATIVE(jstring, inputName)(JNIEnv* env, jclass, jlong network, jint index) {
  return Guard(env, [&] {
    void* const input = Call<void*, std::int32_t>(ToPointer(network), kNetworkGetInput, index);
    return ToJava(env, Call<const char*>(NotNull(input, "no such input"), kTensorGetName));
  });
}

NATIVE(jlongArray, inputShape)(JNIEnv* env, jclass, jlong network, jint index) {
  return Guard(env, [&] {
    void* const input = Call<void*, std::int32_t>(ToPointer(network), kNetworkGetInput, index);
    return ToJava(env, Call<Dims>(NotNull(input, "no such input"), kTensorGetDimensions));
  });
}

NATIVE(jlong, newProfile)(JNIEnv* env, jclass, jlong builder) {
  return Guard(env, [&] {  // owned by the builder
    return ToHandle(NotNull(Call<void*>(ToPointer(builder), kBuilderCreateProfile),
                            "TensorRT makes no optimisation profile"));
  });
}

NATIVE(void, setProfileShape)
(JNIEnv* env, jclass, jlong profile, jstring name, jint selector, jlongArray shape) {
  Guard(env, [&] {
    const Dims dims = ToDims(env, shape);
    const std::string text = ToText(env, name);
    if (!Call<bool, const char*, std::int32_t, const Dims&>(
            ToPointer(profile), kProfileSetDimensions, text.c_str(), selector, dims)) {
      Fail("TensorRT does not take these shapes of " + text);
    }
  });
}

NATIVE(void, addProfile)(JNIEnv* env, jclass, jlong config, jlong profile) {
  Guard(env, [&] {
    if (Call<std::int32_t, const void*>(ToPointer(config), kConfigAddProfile,
                                        ToPointer(profile)) < 0) {
      Fail("TensorRT does not take the optimisation profile");
    }
  });
}

NATIVE(void, configure)
(JNIEnv* env, jclass, jlong config, jboolean tf32, jboolean detailed, jint level,
 jlong workspace_bytes) {
  Guard(env, [&] {
    constexpr std::int32_t kTf32 = 6, kLayerNames = 0, kDetailed = 2, kWorkspace = 0;
    if (!tf32) Call<void, std::int32_t>(ToPointer(config), kConfigClearFlag, kTf32);
    Call<void, std::int32_t>(ToPointer(config), kConfigSetProfilingVerbosity,
                             detailed ? kDetailed : kLayerNames);
    if (level >= 0) {
      Call<void, std::int32_t>(ToPointer(config), kConfigSetOptimizationLevel, level);
    }
    if (workspace_bytes > 0) {
      Call<void, std::int32_t, std::size_t>(ToPointer(config), kConfigSetMemoryPoolLimit,
                                            kWorkspace, static_cast<std::size_t>(workspace_bytes));
    }
  });
}

// A timing cache for the configuration, from what an earlier one gave (may be empty). It must be
// deleted after the configuration. Null if TensorRT does not take the content.
NATIVE(jlong, useTimingCache)(JNIEnv* env, jclass, jlong config, jbyteArray content) {
  return Guard(env, [&]() -> jlong {
    std::vector<jbyte> bytes(static_cast<std::size_t>(env->GetArrayLength(content)));
    env->GetByteArrayRegion(content, 0, static_cast<jsize>(bytes.size()), bytes.data());
    void* const cache = Call<void*, const void*, std::size_t>(
        ToPointer(config), kConfigCreateTimingCache, bytes.data(), bytes.size());
    if (cache == nullptr) return 0;
    constexpr bool kIgnoreMismatch = false;
    if (!Call<bool, const void*, bool>(ToPointer(config), kConfigSetTimingCache, cache,
                                       kIgnoreMismatch)) {
      sparsedit_delete_timing_cache(cache);
      return 0;
    }
    return ToHandle(cache);
  });
}

NATIVE(void, deleteTimingCache)(JNIEnv*, jclass, jlong cache) {
  sparsedit_delete_timing_cache(ToPointer(cache));
}

NATIVE(jbyteArray, timingCacheContent)(JNIEnv* env, jclass, jlong config) {
  return Guard(env, [&]() -> jbyteArray {
    void* const cache =
        const_cast<void*>(Call<const void*>(ToPointer(config), kConfigGetTimingCache));
    if (cache == nullptr) return env->NewByteArray(0);
    const HostMemory memory(
        NotNull(Call<void*>(cache, kTimingCacheSerialize), "no timing cache is given"));
    const jbyteArray array = env->NewByteArray(static_cast<jsize>(memory.size()));
    if (array != nullptr) {
      env->SetByteArrayRegion(array, 0, static_cast<jsize>(memory.size()),
                              reinterpret_cast<const jbyte*>(memory.data()));
    }
    return array;
  });
}

NATIVE(jlong, newProgress)(JNIEnv* env, jclass, jlong config) {
  return Guard(env, [&] {
    auto* const progress = new BuildProgress();
    Call<void, nvinfer1::v_1_0::IProgressMonitor*>(ToPointer(config), kConfigSetProgressMonitor,
                                                   progress);
    return ToHandle(progress);
  });
}

// After its configuration.
NATIVE(void, deleteProgress)(JNIEnv*, jclass, jlong progress) {
  delete static_cast<BuildProgress*>(ToPointer(progress));
}

NATIVE(jstring, progress)(JNIEnv* env, jclass, jlong progress) {
  return Guard(
      env, [&] { return ToJava(env, static_cast<BuildProgress*>(ToPointer(progress))->Current()); });
}

NATIVE(void, cancel)(JNIEnv*, jclass, jlong progress) {
  static_cast<BuildProgress*>(ToPointer(progress))->Cancel();
}

// Builds and writes the engine; its size in bytes.
NATIVE(jlong, build)
(JNIEnv* env, jclass, jlong builder, jlong network, jlong config, jstring path) {
  return Guard(env, [&]() -> jlong {
    Log().TakeErrors();
    const HostMemory engine(NotNull(
        Call<void*, void*, void*>(ToPointer(builder), kBuilderBuildSerialized, ToPointer(network),
                                  ToPointer(config)),
        "TensorRT builds no engine"));
    WriteFile(ToText(env, path), engine.data(), engine.size());
    return static_cast<jlong>(engine.size());
  });
}
