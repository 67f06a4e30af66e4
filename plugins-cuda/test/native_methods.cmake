# Compares the native methods that Java declares with those that the plugin library exports.
#   cmake -DJAVA=Native.java -DLIBRARY=libsparsedit_plugins.so -DNM=nm -P native_methods.cmake
file(STRINGS ${JAVA} lines REGEX "static native")
set(declared)
foreach(line IN LISTS lines)
  string(REGEX REPLACE ".* ([A-Za-z0-9]+)\\(.*" "\\1" name "${line}")
  list(APPEND declared ${name})
endforeach()
execute_process(COMMAND ${NM} -D --defined-only ${LIBRARY} OUTPUT_VARIABLE symbols
  COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "Java_io_sparsedit_tensorrt_Native_[A-Za-z0-9]+" exported "${symbols}")
list(TRANSFORM exported REPLACE "Java_io_sparsedit_tensorrt_Native_" "")
list(SORT declared)
list(SORT exported)
if(NOT declared STREQUAL exported)
  message(FATAL_ERROR "declared: ${declared}\nexported: ${exported}")
endif()
list(LENGTH declared count)
message(STATUS "${count} native methods")
