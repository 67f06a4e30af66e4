#!/usr/bin/env bash
# Builds plugins-cuda, runs every GPU test and benchmark on this machine's GPU and prints a table.
#
#   plugins-cuda/test-gpu.sh [--quick] [--sanitize] [--built] [BUILD_DIR]
#
# --quick     tests only, no timings
# --sanitize  also compute-sanitizer's four tools on a reduced grid, from BUILD_DIR-sanitize
# --built     takes the programs that BUILD_DIR holds already, also where there is nvcc
# Without nvcc BUILD_DIR must hold them. Ends with 1 if anything failed.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
quick=0
sanitize=0
built=0
build=$here/../build/cuda
for argument in "$@"; do
  case $argument in
    --quick) quick=1 ;;
    --sanitize) sanitize=1 ;;
    --built) built=1 ;;
    -*) echo "test-gpu.sh: unknown option $argument" >&2; exit 2 ;;
    *) build=$argument ;;
  esac
done

build() {
  local log
  log=$(mktemp)
  if ! { cmake -S "$here" "$@" && cmake --build "$2" -j "$(nproc)"; } >"$log" 2>&1; then
    tail -n 40 "$log"
    exit 1
  fi
  rm -f "$log"
}
if [ $built -eq 0 ] && command -v nvcc >/dev/null; then
  build -B "$build"
  [ $sanitize -eq 0 ] || build -B "$build-sanitize" -DSPARSEDIT_EVERY_LANE_ARRIVES=ON
fi
if [ ! -x "$build/test/attention_test" ]; then
  echo "test-gpu.sh: no programs in $build, and no nvcc to build them" >&2
  exit 1
fi
nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit --format=csv,noheader || {
  echo "test-gpu.sh: no GPU" >&2
  exit 1
}

failed=0
# Runs a program for at most the given seconds and prints one row; a hung kernel must not stay.
row() {
  local seconds=$1 name=$2
  shift 2
  local log start code verdict=ok
  log=$(mktemp)
  start=$(date +%s.%N)
  timeout -k 5 "$seconds" "$@" >"$log" 2>&1
  code=$?
  [ $code -eq 77 ] && verdict=skipped
  [ $code -ne 0 ] && [ $code -ne 77 ] && verdict="FAILED ($code)"
  printf '%-34s %-12s %6.1f s  %s\n' "$name" "$verdict" \
    "$(awk "BEGIN { print $(date +%s.%N) - $start }")" "$(tail -n 1 "$log")"
  [ "$verdict" = ok ] || grep -vE '^ok ' "$log" | head -n 20
  rm -f "$log"
  case $verdict in FAILED*) return 1 ;; esac
}
# Runs the rows that stand in `rows`, a command a line, side by side; prints them in order.
rows=()
run_rows() {
  local folder i pids=()
  folder=$(mktemp -d)
  for i in "${!rows[@]}"; do
    eval "${rows[$i]}" >"$folder/$i" &
    pids+=($!)
  done
  for i in "${!rows[@]}"; do
    wait "${pids[$i]}" || failed=1
    cat "$folder/$i"
  done
  rm -rf "$folder"
  rows=()
}

for test in "$build"/test/*_test; do rows+=("row 150 $(basename "$test") '$test'"); done
if [ $sanitize -eq 1 ]; then
  for tool in memcheck racecheck initcheck synccheck; do
    for test in adaspa_test attention_test band_plan_test head_classes_test kmeans_test plan_scores_test \
      qk_norm_rope_test segment_means_test plugin_run_test; do
      # Its kernels are those of the other tests; it alone would take two minutes.
      [ "$tool $test" = "racecheck plugin_run_test" ] && continue
      rows+=("row 300 '$test $tool' compute-sanitizer --tool $tool --error-exitcode 9 \
        '$build-sanitize/test/$test' --quick")
    done
  done
fi
run_rows
if [ $quick -eq 0 ]; then
  captures=$here/../testdata/tiny-video-dit/captures
  bench() { timeout -k 5 "$@" || failed=1; }
  bench 90 "$build/bench/svg2_bench" wan:1 wan:0.25 wan:0.1 hunyuan:1 hunyuan:0.25 hunyuan:0.1 \
    cogvideo:1 cogvideo:0.25 cogvideo:0.1 wan-small:1 wan-small:0.25 wan-small:0.1
  bench 90 "$build/bench/svg2_bench" --captures "$captures" wan:0.25 wan:0.1 hunyuan:0.25 \
    hunyuan:0.1
  blocks=$(mktemp -d)
  bench 60 "$build/bench/attention_bench" --plan uniform --repeat 5 wan:0.25
  bench 60 "$build/bench/attention_bench" --plan blocks --repeat 5 wan:0.25
  for plan in adaspa-random adaspa svg; do
    bench 60 "$build/bench/attention_bench" --plan $plan --keep "$blocks/$plan" wan:0.25
    bench 60 "$build/bench/attention_bench" --plan $plan hunyuan:0.25
  done
  if python3 -c 'import torch' 2>/dev/null; then
    bench 200 python3 "$here/bench/attention_baselines.py" wan hunyuan \
      "wan:64:$blocks/adaspa-random" "wan:64:$blocks/adaspa" "wan:128:$blocks/svg"
  fi
  rm -rf "$blocks"
  bench 60 "$build/bench/planning_bench" wan hunyuan cogvideo wan-small
  bench 60 "$build/bench/qk_norm_rope_bench" wan hunyuan cogvideo wan-small
  bench 60 "$build/bench/planning_bench" --data random wan
  bench 90 "$build/bench/adaspa_bench" wan hunyuan cogvideo wan-small
  bench 60 "$build/bench/svg_bench" wan hunyuan cogvideo wan-small
  if python3 -c 'import torch' 2>/dev/null; then
    bench 60 python3 "$here/bench/svg_baselines.py" wan hunyuan
  fi
fi
exit $failed
