// SVG's plans against the definition, bit by bit: orders, offsets, bands, sinks, text, both widths.
//
//   band_plan_test [--quick]      --quick: a few small cases, for compute-sanitizer
#include <cstring>

#include "test/check.h"
#include "test/device_array.h"
#include "test/svg_reference.h"

namespace sparsedit::test {
namespace {

struct DevicePlan {
  DeviceArray<std::int32_t> query_order, key_order, query_offsets, key_offsets, keep;

  explicit DevicePlan(const BandPlanProblem& p) {
    const std::size_t heads = static_cast<std::size_t>(p.batch) * p.heads;
    query_order = DeviceArray<std::int32_t>(heads * p.tokens);
    key_order = DeviceArray<std::int32_t>(heads * p.tokens);
    query_offsets = DeviceArray<std::int32_t>(heads * (QuerySegments(p) + 1));
    key_offsets = DeviceArray<std::int32_t>(heads * (KeySegments(p) + 1));
    keep = DeviceArray<std::int32_t>(heads * QuerySegments(p) * KeepWords(KeySegments(p)));
    Poison();
  }
  void Poison() {
    for (auto* t : {&query_order, &key_order, &query_offsets, &key_offsets, &keep}) t->Poison();
  }
  MutablePlanView view() const {
    return {query_order.get(), key_order.get(), query_offsets.get(), key_offsets.get(),
            keep.get()};
  }
  HostPlan Read(const BandPlanProblem& p) const {
    HostPlan host;
    host.shape = {p.batch, p.heads, p.tokens, QuerySegments(p), KeySegments(p)};
    host.query_order = query_order.Get();
    host.key_order = key_order.Get();
    host.query_offsets = query_offsets.Get();
    host.key_offsets = key_offsets.Get();
    host.keep = keep.Get();
    return host;
  }
};

bool Equals(const std::vector<std::int32_t>& all, int head, const std::vector<int>& expected) {
  return std::equal(expected.begin(), expected.end(), all.begin() + head * expected.size());
}

bool PlanEquals(const HostPlan& plan, int head, const ReferencePlan& expected) {
  bool same = Equals(plan.query_order, head, expected.query_order) &&
              Equals(plan.key_order, head, expected.key_order) &&
              Equals(plan.query_offsets, head, expected.query_offsets) &&
              Equals(plan.key_offsets, head, expected.key_offsets);
  for (int i = 0; i < plan.shape.query_segments; ++i) {
    for (int j = 0; j < KeepWords(plan.shape.key_segments) * 32; ++j) {
      same = same && Keeps(plan.KeepRow(head, i), j) ==
                         (j < plan.shape.key_segments && expected.keep[i][j]);
    }
  }
  return same;
}

// Heads of every class, and of none.
const std::vector<std::int32_t> kClasses = {0, 1, kNoHeadClass, 1, 0, -1};

void TestCase(const Clip& clip, const BandPlanProblem& problem) {
  BandPlanProblem p = problem;
  p.batch = 2, p.heads = 3;
  p.tokens = clip.tokens(), p.text = clip.position;
  DeviceArray<std::int32_t> geometry(
      std::vector<std::int32_t>{clip.frames, clip.height, clip.width});
  DeviceArray<std::int32_t> classes(kClasses);
  DeviceArray<char> workspace(BandPlanWorkspaceSize(p));
  workspace.Poison();
  DevicePlan plan(p);
  const BandPlanBuffers b = {geometry.get(), classes.get(), plan.view()};
  CHECK(LaunchBandPlan(p, b, workspace.get(), workspace.size(), nullptr) == Status::kOk);
  CUDA_OK(cudaDeviceSynchronize());
  const HostPlan host = plan.Read(p);
  const ReferencePlan expected[] = {PlanOfClass(p, clip, false, false),
                                    PlanOfClass(p, clip, true, false),
                                    PlanOfClass(p, clip, false, true)};
  bool same = true;
  for (std::size_t head = 0; head < kClasses.size(); ++head) {
    const std::int32_t of = kClasses[head];
    same = same && PlanEquals(host, static_cast<int>(head), expected[of == 0 || of == 1 ? of : 2]);
  }
  CHECK(same);
  std::printf("%s %dx%dx%d text %d at %d, blocks of %d, sink %d, %s %.2f: bands %d and %d of %d\n",
              same ? "ok  " : "FAIL", clip.frames, clip.height, clip.width, clip.text,
              static_cast<int>(clip.position), p.block_size, static_cast<int>(p.sink),
              p.budget ? "budget" : "density", p.density, expected[0].band, expected[1].band,
              BlockRoom(p.tokens, p.block_size));
}

// A geometry that is not that of the tokens gives a plan that keeps inside of them.
void TestOddGeometry() {
  BandPlanProblem p;
  p.batch = 1, p.heads = 3, p.tokens = 500, p.density = .3f, p.block_size = 32;
  p.sink = FrameSink::kCorrected, p.budget = true;
  DeviceArray<std::int32_t> classes(std::vector<std::int32_t>{0, 1, 2});
  DeviceArray<char> workspace(BandPlanWorkspaceSize(p));
  for (const auto& g : {std::vector<std::int32_t>{0, 0, 0}, {-1, 20, 25}, {7, 7, 7}, {1 << 30, 4, 4}}) {
    DeviceArray<std::int32_t> geometry(g);
    DevicePlan plan(p);
    const BandPlanBuffers b = {geometry.get(), classes.get(), plan.view()};
    CHECK(LaunchBandPlan(p, b, workspace.get(), workspace.size(), nullptr) == Status::kOk);
    CUDA_OK(cudaDeviceSynchronize());
    const HostPlan host = plan.Read(p);
    const Clip one = {1, 1, p.tokens, 0, TextPosition::kNone};
    CHECK(PlanEquals(host, 0, PlanOfClass(p, one, false, false)));
    CHECK(PlanEquals(host, 1, PlanOfClass(p, one, true, false)));
  }
}

void TestGraph() {
  BandPlanProblem p;
  p.batch = 1, p.heads = 3, p.tokens = 5 * 60 + 17, p.density = .4f, p.block_size = 16;
  p.text = TextPosition::kLast, p.budget = true;
  DeviceArray<std::int32_t> geometry(std::vector<std::int32_t>{5, 6, 10});
  DeviceArray<std::int32_t> classes(std::vector<std::int32_t>{0, 1, 2});
  DeviceArray<char> workspace(BandPlanWorkspaceSize(p));
  DevicePlan plan(p);
  const BandPlanBuffers b = {geometry.get(), classes.get(), plan.view()};
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  CUDA_OK(cudaStreamCreate(&stream));
  CUDA_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  CHECK(LaunchBandPlan(p, b, workspace.get(), workspace.size(), stream) == Status::kOk);
  CUDA_OK(cudaStreamEndCapture(stream, &graph));
  CUDA_OK(cudaGraphInstantiate(&exec, graph, 0));
  // The classes and the geometry are read when the graph runs.
  for (const bool turned : {false, true}) {
    const Clip clip = {turned ? 10 : 5, 6, turned ? 5 : 10, 17, TextPosition::kLast};
    geometry.Set({clip.frames, clip.height, clip.width});
    classes.Set({turned ? 1 : 0, turned ? 0 : 1, 2});
    plan.Poison();
    workspace.Poison();
    CUDA_OK(cudaGraphLaunch(exec, stream));
    CUDA_OK(cudaStreamSynchronize(stream));
    const HostPlan host = plan.Read(p);
    CHECK(PlanEquals(host, 0, PlanOfClass(p, clip, turned, false)));
    CHECK(PlanEquals(host, 1, PlanOfClass(p, clip, !turned, false)));
  }
  CUDA_OK(cudaGraphExecDestroy(exec));
  CUDA_OK(cudaGraphDestroy(graph));
  CUDA_OK(cudaStreamDestroy(stream));
}

void TestArguments() {
  BandPlanProblem p;
  CHECK(LaunchBandPlan(p, {}, nullptr, 0, nullptr) == Status::kInvalidArgument);
  p.batch = p.heads = 1, p.tokens = 100, p.density = .5f;
  CHECK(LaunchBandPlan(p, {}, nullptr, 0, nullptr) == Status::kInvalidArgument);
  alignas(1024) static std::int32_t memory[1024];
  const BandPlanBuffers b = {memory, memory, {memory, memory, memory, memory, memory}};
  CHECK(LaunchBandPlan(p, b, nullptr, 0, nullptr) == Status::kInvalidArgument);
  CHECK(LaunchBandPlan(p, b, memory, 1, nullptr) == Status::kWorkspaceTooSmall);
}

}  // namespace
}  // namespace sparsedit::test

int main(int argc, char** argv) {
  using namespace sparsedit;
  using namespace sparsedit::test;
  TestArguments();
  if (!HasGpu()) {
    std::printf("no GPU: skipped\n");
    return Report("band_plan_test") == 0 ? kSkipped : 1;
  }
  const bool reduced = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  const std::vector<Clip> clips = {{5, 6, 10, 0, TextPosition::kNone},
                                   {5, 6, 10, 37, TextPosition::kLast},
                                   {7, 5, 9, 130, TextPosition::kFirst},
                                   {1, 8, 8, 0, TextPosition::kNone},
                                   {300, 1, 1, 5, TextPosition::kLast}};
  for (const Clip& clip : clips) {
    for (const FrameSink sink :
         {FrameSink::kNone, FrameSink::kPublished, FrameSink::kCorrected}) {
      for (const bool budget : {false, true}) {
        for (const int size : reduced ? std::vector<int>{16} : std::vector<int>{1, 16, 50, 128}) {
          for (const float density :
               reduced ? std::vector<float>{.3f}
                       : std::vector<float>{1e-4f, .1f, .3f, .6f, .9f, 1.f, 2.f}) {
            BandPlanProblem p;
            p.sink = sink, p.budget = budget, p.block_size = size, p.density = density;
            TestCase(clip, p);
          }
        }
      }
    }
  }
  if (!reduced) {
    BandPlanProblem p;
    p.density = .3f, p.sink = FrameSink::kPublished;
    TestCase({21, 45, 80, 0, TextPosition::kNone}, p);  // Wan at 720p
    p.density = .25f, p.sink = FrameSink::kNone;
    TestCase({11, 48, 85, 226, TextPosition::kFirst}, p);  // CogVideoX 1.5
    p.budget = true, p.sink = FrameSink::kCorrected;
    TestCase({33, 45, 80, 256, TextPosition::kLast}, p);  // HunyuanVideo at 720p
    TestOddGeometry();
    TestGraph();
  }
  return Report("band_plan_test");
}
