// Times what is enqueued on a stream as a replayed CUDA graph.
#ifndef SPARSEDIT_BENCH_GRAPH_TIMING_H_
#define SPARSEDIT_BENCH_GRAPH_TIMING_H_

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "kernels/status.h"
#include "test/device_array.h"

namespace sparsedit::bench {

inline double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Median milliseconds of `repeat` rounds after two that are not counted. A round replays every
// element of `enqueue` once, each a graph of its own; the time is of one of them.
inline double TimeInTurn(cudaStream_t stream, int repeat,
                         const std::vector<std::function<void()>>& enqueue) {
  std::vector<cudaGraphExec_t> graphs;
  for (const std::function<void()>& each : enqueue) {
    cudaGraph_t graph;
    CUDA_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    each();
    CUDA_OK(cudaStreamEndCapture(stream, &graph));
    graphs.emplace_back();
    CUDA_OK(cudaGraphInstantiate(&graphs.back(), graph, 0));
    CUDA_OK(cudaGraphDestroy(graph));
  }
  cudaEvent_t begin, end;
  CUDA_OK(cudaEventCreate(&begin));
  CUDA_OK(cudaEventCreate(&end));
  std::vector<double> times;
  for (int i = 0; i < repeat + 2; ++i) {
    for (const cudaGraphExec_t graph : graphs) {
      CUDA_OK(cudaEventRecord(begin, stream));
      CUDA_OK(cudaGraphLaunch(graph, stream));
      CUDA_OK(cudaEventRecord(end, stream));
      CUDA_OK(cudaEventSynchronize(end));
      float ms = 0;
      CUDA_OK(cudaEventElapsedTime(&ms, begin, end));
      if (i >= 2) times.push_back(ms);
    }
  }
  CUDA_OK(cudaEventDestroy(begin));
  CUDA_OK(cudaEventDestroy(end));
  for (const cudaGraphExec_t graph : graphs) CUDA_OK(cudaGraphExecDestroy(graph));
  return Median(times);
}

inline double Time(cudaStream_t stream, int repeat, const std::function<void()>& enqueue) {
  return TimeInTurn(stream, repeat, {enqueue});
}

inline void Require(Status status) {
  if (status == Status::kOk) return;
  std::printf("launch: %s\n", StatusName(status));
  std::exit(1);
}

}  // namespace sparsedit::bench

#endif  // SPARSEDIT_BENCH_GRAPH_TIMING_H_
