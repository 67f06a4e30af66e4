#!/usr/bin/env bash
# Loads the plugin library into the real plugin registry of TensorRT 10.6 and reads everything back;
# then the same from Java.
# No GPU is needed; without a driver an empty libcuda.so.1 stands in for it.
#
#   plugins-cuda/test-tensorrt.sh [BUILD_DIR]
#
# Needs nvcc, CMake, Maven, Python and unzip. Downloads TensorRT once (1.09 GB, into Maven's local
# repository), and unpacks 250 MB of it into BUILD_DIR/tensorrt.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here/build}
version=${TENSORRT_VERSION:-10.6-1.5.11}
platform=linux-x86_64

cmake -S "$here" -B "$build" -DCMAKE_BUILD_TYPE=Release
cmake --build "$build" --target sparsedit_plugins load_plugins

libraries=$build/tensorrt/$version
if [ -z "$(ls "$libraries"/libnvinfer.so.* 2>/dev/null)" ]; then
  mvn -B -ntp -q dependency:get -Dtransitive=false \
    -Dartifact="org.bytedeco:tensorrt:$version:jar:$platform-redist"
  repository=$(mvn -B -q -Dstyle.color=never help:evaluate -Dexpression=settings.localRepository \
    -DforceStdout | sed 's/\x1b\[[0-9;]*m//g')
  jar=$repository/org/bytedeco/tensorrt/$version/tensorrt-$version-$platform-redist.jar
  rm -rf "$libraries.part"
  mkdir -p "$libraries.part"
  unzip -qoj "$jar" "org/bytedeco/tensorrt/$platform/libnvinfer.so.*" \
    "org/bytedeco/tensorrt/$platform/libnvonnxparser.so.*" -d "$libraries.part"
  mv "$libraries.part" "$libraries"
fi
if [ -z "$(ls "$libraries"/libcudart.so.* 2>/dev/null)" ]; then
  python3 "$here/get_cudart.py" "$libraries"
fi

search=$libraries
if ! ldconfig -p | grep -q 'libcuda\.so\.1'; then
  mkdir -p "$build/tensorrt/no-driver"
  echo | cc -x c -shared -Wl,-soname,libcuda.so.1 -o "$build/tensorrt/no-driver/libcuda.so.1" -
  search=$search:$build/tensorrt/no-driver
fi
# The test provokes errors, which go to stderr where TensorRT has no logger yet.
log=$build/tensorrt/errors.log
if ! LD_LIBRARY_PATH=$search${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
  "$build/test/load_plugins" "$libraries"/libnvinfer.so.* \
  "$build/plugins/libsparsedit_plugins.so" "$libraries"/libnvonnxparser.so.* 2>"$log"; then
  cat "$log" >&2
  exit 1
fi

if [ -d "$here/../runtime/tensorrt" ]; then
  (cd "$here/.." && LD_LIBRARY_PATH=$search${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
    SPARSEDIT_PLUGINS=$(realpath "$build/plugins/libsparsedit_plugins.so") \
    SPARSEDIT_TENSORRT=$(realpath "$libraries") \
    mvn -B -ntp -q -pl runtime/tensorrt test -Dtest='RealLibraryTest,ClassPathTest')
  echo "the plugin library and TensorRT $version load from Java"
fi
