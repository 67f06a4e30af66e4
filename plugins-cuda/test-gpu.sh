#!/usr/bin/env bash
# Builds plugins-cuda, runs every GPU test and benchmark on this machine's GPU and prints a table.
#
#   plugins-cuda/test-gpu.sh [--quick] [--sanitize] [BUILD_DIR]
#
# --quick     tests only, no timings
# --sanitize  also compute-sanitizer's four tools on a reduced grid, from BUILD_DIR-sanitize
# A BUILD_DIR that holds the test programs already is used as it is (for hosts without nvcc).
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
quick=0
sanitize=0
build=$here/../build/cuda
for argument in "$@"; do
  case $argument in
    --quick) quick=1 ;;
    --sanitize) sanitize=1 ;;
    *) build=$argument ;;
  esac
done

build() {
  cmake -S "$here" "$@" >/dev/null && cmake --build "$2" -j "$(nproc)" >/dev/null
}
if command -v nvcc >/dev/null; then
  build -B "$build" || exit 1
  [ $sanitize -eq 0 ] || build -B "$build-sanitize" -DSPARSEDIT_EVERY_LANE_ARRIVES=ON || exit 1
fi
nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit --format=csv,noheader || exit 1

failed=0
# Runs a program for at most the given seconds and prints one row; a hung kernel must not stay.
row() {
  local seconds=$1 name=$2
  shift 2
  local log start
  log=$(mktemp)
  start=$(date +%s.%N)
  timeout -k 5 "$seconds" "$@" >"$log" 2>&1
  local code=$?
  local verdict=ok
  [ $code -eq 77 ] && verdict=skipped
  [ $code -ne 0 ] && [ $code -ne 77 ] && verdict="FAILED ($code)" && failed=1
  printf '%-34s %-12s %6.1f s  %s\n' "$name" "$verdict" \
    "$(awk "BEGIN { print $(date +%s.%N) - $start }")" "$(tail -n 1 "$log")"
  [ "$verdict" = ok ] || grep -vE '^ok ' "$log" | head -n 20
  rm -f "$log"
}

for test in "$build"/test/*_test; do row 120 "$(basename "$test")" "$test"; done
if [ $sanitize -eq 1 ]; then
  for tool in memcheck racecheck initcheck synccheck; do
    row 120 "attention_test $tool" \
      compute-sanitizer --tool $tool --error-exitcode 9 "$build-sanitize/test/attention_test" --quick
    for test in kmeans_test plan_scores_test segment_means_test; do
      row 120 "$test $tool" \
        compute-sanitizer --tool $tool --error-exitcode 9 "$build-sanitize/test/$test" --quick
    done
  done
fi
if [ $quick -eq 0 ]; then
  timeout -k 5 120 "$build/bench/attention_bench" --repeat 9 \
    wan:1 wan:0.25 wan:0.1 hunyuan:1 hunyuan:0.25 hunyuan:0.1 cogvideo:1 cogvideo:0.25 \
    wan-small:1 wan-small:0.25 || failed=1
  timeout -k 5 60 "$build/bench/attention_bench" --plan uniform --repeat 9 wan:0.25 || failed=1
  timeout -k 5 60 "$build/bench/attention_bench" --plan blocks --repeat 9 wan:0.25 || failed=1
  timeout -k 5 60 "$build/bench/planning_bench" wan hunyuan cogvideo wan-small || failed=1
  timeout -k 5 60 "$build/bench/planning_bench" --data random wan || failed=1
  if python3 -c 'import torch' 2>/dev/null; then
    timeout -k 5 200 python3 "$here/bench/attention_baselines.py" wan hunyuan || failed=1
  fi
fi
exit $failed
