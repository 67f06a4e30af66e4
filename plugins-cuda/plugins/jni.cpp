// The native methods of io.sparsedit.tensorrt.Native: any function of sparsedit_plugins.h, called by
// its name, so that Java needs no more than this.
#include <dlfcn.h>
#include <jni.h>

#include <cstring>
#include <string>

namespace {

using Function = void (*)(void*);

// Null with an UnsatisfiedLinkError pending where this library does not have it.
Function Find(JNIEnv* env, jstring name) {
  static constexpr char kPrefix[] = "sparsedit_";
  const char* const chars = env->GetStringUTFChars(name, nullptr);
  if (chars == nullptr) return nullptr;
  const std::string text = chars;
  env->ReleaseStringUTFChars(name, chars);
  Dl_info self = {};
  void* function = nullptr;
  if (text.compare(0, std::strlen(kPrefix), kPrefix) == 0 &&
      dladdr(reinterpret_cast<void*>(&Find), &self) != 0) {
    void* const library = dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (library != nullptr) {
      function = dlsym(library, text.c_str());
      dlclose(library);  // still loaded by the JVM
    }
  }
  if (function == nullptr) {
    const jclass type = env->FindClass("java/lang/UnsatisfiedLinkError");
    if (type != nullptr) env->ThrowNew(type, ("the library has no function " + text).c_str());
  }
  return reinterpret_cast<Function>(function);
}

}  // namespace

extern "C" JNIEXPORT void JNICALL
Java_io_sparsedit_tensorrt_Native_fill(JNIEnv* env, jclass, jstring name, jobject memory) {
  const Function function = Find(env, name);
  if (function != nullptr) function(env->GetDirectBufferAddress(memory));
}

extern "C" JNIEXPORT void JNICALL
Java_io_sparsedit_tensorrt_Native_apply(JNIEnv* env, jclass, jstring name, jlong object) {
  const Function function = Find(env, name);
  if (function != nullptr) function(reinterpret_cast<void*>(object));
}
