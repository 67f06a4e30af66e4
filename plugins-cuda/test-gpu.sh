#!/usr/bin/env bash
# Builds plugins-cuda, runs every GPU test and benchmark on this machine's GPU and prints a table.
#
#   plugins-cuda/test-gpu.sh [--quick] [--sanitize] [--only PATTERN] [--built] [BUILD_DIR]
#
# --quick     tests only, no timings
# --sanitize  also compute-sanitizer's four tools on a reduced grid, from BUILD_DIR/test/sanitized
# --only      of the tests those alone whose row, such as "kmeans_test memcheck", matches the extended
#             regular expression PATTERN
# --built     takes the programs that BUILD_DIR holds already, also where there is nvcc
# Without nvcc BUILD_DIR must hold them. Ends with 1 if anything failed, 2 if PATTERN matches nothing.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
quick=0
sanitize=0
built=0
build=$here/../build/cuda
only=
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=1 ;;
    --sanitize) sanitize=1 ;;
    --only)
      [ $# -gt 1 ] || { echo "test-gpu.sh: --only needs a pattern" >&2; exit 2; }
      only=$2
      shift ;;
    --built) built=1 ;;
    -*) echo "test-gpu.sh: unknown option $1" >&2; exit 2 ;;
    *) build=$1 ;;
  esac
  shift
done

nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit --format=csv,noheader || {
  echo "test-gpu.sh: no GPU" >&2
  exit 1
}

# Takes minutes: says how far it is every ten seconds. A new folder gets code for the GPU at hand alone.
build() {
  local log capability options=(-DSPARSEDIT_SANITIZED_TESTS=OFF) start=$SECONDS said=0
  [ $sanitize -eq 0 ] || options=(-DSPARSEDIT_SANITIZED_TESTS=ON)
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1)
  if [ ! -e "$build/CMakeCache.txt" ] && [[ $capability =~ ^[0-9]+\.[0-9]$ ]]; then
    options+=("-DSPARSEDIT_CUDA_ARCHITECTURES=${capability/./}")
  fi
  log=$(mktemp)
  {
    cmake -S "$here" -B "$build" "${options[@]}" && cmake --build "$build" -j "$(nproc)"
  } >"$log" 2>&1 &
  local pid=$!
  while kill -0 $pid 2>/dev/null; do
    sleep 1
    [ $((SECONDS - start - said)) -lt 10 ] && continue
    said=$((SECONDS - start))
    echo "building, $said s: $(tail -n 1 "$log" | cut -c 1-100)"
  done
  if ! wait $pid; then
    # What failed first may stand far above what other compilers wrote after it.
    grep -nE -m 5 -A 15 'FAILED:|[Ee]rror|Killed' "$log" | cut -c 1-300 | head -n 60
    echo "test-gpu.sh: the build failed; all it said: $log" >&2
    exit 1
  fi
  echo "built in $((SECONDS - start)) s"
  rm -f "$log"
}
if [ $built -eq 0 ] && command -v nvcc >/dev/null; then
  build
fi
if [ ! -x "$build/test/attention_test" ]; then
  echo "test-gpu.sh: no programs in $build, and no nvcc to build them" >&2
  exit 1
fi
if [ $sanitize -eq 1 ] && [ ! -x "$build/test/sanitized/attention_test" ]; then
  echo "test-gpu.sh: no programs in $build/test/sanitized; configure with -DSPARSEDIT_SANITIZED_TESTS=ON" >&2
  exit 1
fi

failed=0
# Runs a program for at most the given seconds and prints one row; a hung kernel must not stay.
row() {
  local seconds=$1 name=$2
  shift 2
  local log start code verdict=ok text
  log=$(mktemp)
  start=$(date +%s.%N)
  timeout -k 5 "$seconds" "$@" >"$log" 2>&1
  code=$?
  [ $code -eq 77 ] && verdict=skipped
  [ $code -ne 0 ] && [ $code -ne 77 ] && verdict="FAILED ($code)"
  text=$(printf '%-34s %-12s %6.1f s  %s\n' "$name" "$verdict" \
    "$(awk "BEGIN { print $(date +%s.%N) - $start }")" "$(tail -n 1 "$log")")
  [ "$verdict" = ok ] || text+=$'\n'$(grep -vE '^ok ' "$log" | head -n 20)
  printf '%s\n' "$text"  # at once: others print beside it
  rm -f "$log"
  case $verdict in FAILED*) return 1 ;; esac
}
# Starts a row beside those that run, of which there are no more than processors.
side_by_side() {
  [[ $2 =~ $only ]] || return 0
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do sleep 0.1; done
  row "$@" &
  pids+=($!)
}

# sanitized TOOL "TEST [PART]": that tool on the test's reduced grid, or on a part of it.
sanitized() {
  local tool=$1 test part
  read -r test part <<<"$2"
  side_by_side 300 "$2 $tool" compute-sanitizer --tool "$tool" --error-exitcode 9 \
    "$build/test/sanitized/$test" --quick ${part:+"$part"}
}

# The longest first: tests whose reference takes the processor long, then racecheck, which follows every
# access to shared memory and takes several times as long as the other tools.
pids=()
long_tests=(attention_test plugin_run_test kmeans_test)
kernel_tests=(attention_test adaspa_test head_classes_test segment_means_test band_plan_test
  qk_norm_rope_test)
for test in "${long_tests[@]}"; do side_by_side 300 $test "$build/test/$test"; done
if [ $sanitize -eq 1 ]; then
  for test in 'plugin_run_test svg2' 'plugin_run_test svg2-f32' kmeans_test plan_scores_test \
    'plugin_run_test svg' 'plugin_run_test adaspa' "${kernel_tests[@]}" 'plugin_run_test rope'; do
    sanitized racecheck "$test"
  done
fi
for test in "$build"/test/*_test; do
  name=$(basename "$test")
  [[ " ${long_tests[*]} load_at_start_test " == *" $name "* ]] && continue
  side_by_side 300 "$name" "$test"
done
# The plugin library in stand-ins for the registries of TensorRT.
plugins=$build/plugins/libsparsedit_plugins.so
for registry in "$build"/test/libstub_nvinfer_*.so; do
  [ -e "$registry" ] || continue
  version=${registry##*_}
  side_by_side 60 "load_plugins ${version%.so}" "$build/test/load_plugins" "$registry" "$plugins"
  side_by_side 60 "load_at_start_test ${version%.so}" "$build/test/load_at_start_test" \
    "$registry" "$build/plugins/libsparsedit_load.so" "$plugins"
done
if [ $sanitize -eq 1 ]; then
  for test in kmeans_test plugin_run_test plan_scores_test "${kernel_tests[@]}"; do
    for tool in initcheck memcheck synccheck; do sanitized $tool "$test"; done
  done
fi
ran=${#pids[@]}
if [ $ran -eq 0 ]; then
  echo "test-gpu.sh: no test matches $only" >&2
  exit 2
fi
for pid in "${pids[@]}"; do wait "$pid" || failed=$((failed + 1)); done
if [ $quick -eq 0 ]; then
  captures=$here/../testdata/tiny-video-dit/captures
  bench() {
    ran=$((ran + 1))
    echo "== $(basename "$2")${3:+ ${*:3}}"
    timeout -k 5 "$@" && return
    echo "FAILED ($?)"
    failed=$((failed + 1))
  }
  torch=0
  python3 -c 'import torch' 2>/dev/null && torch=1
  peer() { [ $torch -eq 0 ] || bench "$1" python3 "${@:2}"; }
  # Whole steps and their peers first: bench/RESULTS.md compares them.
  bench 90 "$build/bench/svg2_bench" --repeat 3 wan:1 wan:0.25 wan:0.1 hunyuan:1 hunyuan:0.25 \
    hunyuan:0.1 wan-small:1 wan-small:0.25 wan-small:0.1 cogvideo:1 cogvideo:0.25 cogvideo:0.1
  peer 150 "$here/bench/attention_baselines.py" --repeat 5 wan hunyuan
  bench 60 "$build/bench/svg2_bench" --repeat 3 --compensate 1 wan:0.25 hunyuan:0.25 cogvideo:0.25 \
    wan-small:0.25
  bench 60 "$build/bench/svg2_bench" --repeat 3 --captures "$captures" wan:0.25 hunyuan:0.25
  bench 60 "$build/bench/planning_bench" wan hunyuan cogvideo wan-small
  bench 90 "$build/bench/adaspa_bench" --repeat 4 wan hunyuan cogvideo wan-small
  bench 60 "$build/bench/svg_bench" wan hunyuan cogvideo wan-small
  bench 60 "$build/bench/qk_norm_rope_bench" wan hunyuan cogvideo wan-small
  blocks=$(mktemp -d)
  for plan in adaspa-random adaspa svg; do
    bench 60 "$build/bench/attention_bench" --plan $plan --repeat 5 --keep "$blocks/$plan" wan:0.25
    bench 60 "$build/bench/attention_bench" --plan $plan --repeat 5 hunyuan:0.25
  done
  for plan in uniform blocks; do
    bench 60 "$build/bench/attention_bench" --plan $plan --repeat 5 wan:0.25
  done
  peer 150 "$here/bench/attention_baselines.py" --repeat 5 "wan:64:$blocks/adaspa-random" \
    "wan:64:$blocks/adaspa" "wan:128:$blocks/svg"
  peer 60 "$here/bench/svg_baselines.py" wan hunyuan
  bench 60 "$build/bench/planning_bench" --data random wan
  rm -rf "$blocks"
fi
echo "test-gpu.sh: $ran tests and timings, $failed failed, $SECONDS s"
[ $failed -eq 0 ]
