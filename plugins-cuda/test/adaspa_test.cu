// AdaSpa's planner against float64 on the CPU: LSE, W, recall and head classes, keep bits up to near
// ties, offsets; ragged blocks, text, masks, large scores, stale LSE, ties, actions, CUDA graph.
//
//   adaspa_test [--quick]      --quick: few cases, for compute-sanitizer
#include "kernels/adaspa_plan.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "test/adaspa_reference.h"
#include "test/check.h"
#include "test/device_array.h"

namespace sparsedit::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Case {
  int batch = 1, heads = 3, tokens = 300, head_dim = 128;
  DataType type = DataType::kBFloat16;
  Layout layout = Layout::kBhsd;
  int block_size = 64;
  float density = 0.3f, threshold = 0.6f;
  TextPosition text = TextPosition::kNone;
  int text_tokens = 0;
  bool bias = false;
  float sharpness = 1;  // of the scores
  AdaSpaPath path = AdaSpaPath::kAuto;
};

AdaSpaInputs MakeInputs(const Case& c, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  AdaSpaInputs in;
  AdaSpaProblem& p = in.problem;
  p.batch = c.batch, p.heads = c.heads, p.tokens = c.tokens, p.head_dim = c.head_dim;
  p.type = c.type, p.layout = c.layout, p.block_size = c.block_size;
  p.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
  p.density = c.density, p.recall_threshold = c.threshold, p.text = c.text;
  in.text_tokens = c.text_tokens;
  const std::size_t count = static_cast<std::size_t>(c.batch) * c.heads * c.tokens * c.head_dim;
  in.q.resize(count);
  in.k.resize(count);
  // Neighbouring keys share a direction, which queries look for, by head more or less sharply.
  for (int bh = 0; bh < c.batch * c.heads; ++bh) {
    const float sharp = c.sharpness * (.3f + 1.3f * ((bh * 5 + 2) % 7) / 6);
    std::vector<float> shared(static_cast<std::size_t>(c.tokens / 40 + 1) * c.head_dim);
    for (float& x : shared) x = normal(random);
    for (int t = 0; t < c.tokens; ++t) {
      const int wanted = static_cast<int>(random() % (c.tokens / 40 + 1));
      for (int d = 0; d < c.head_dim; ++d) {
        in.k[in.At(bh, t) + d] =
            RoundTo(c.type, shared[t / 40 * c.head_dim + d] + .7f * normal(random));
        in.q[in.At(bh, t) + d] =
            RoundTo(c.type, sharp * (.4f * shared[wanted * c.head_dim + d] + .6f * normal(random)));
      }
    }
  }
  if (c.bias) {
    in.key_bias.resize(static_cast<std::size_t>(c.batch) * c.tokens);
    for (int i = 0; i < c.batch * c.tokens; ++i) {
      const bool hidden = random() % 5 == 0 || (c.batch > 1 && i / c.tokens == c.batch - 1);
      in.key_bias[i] = hidden ? -kInfinity : .5f * static_cast<float>(static_cast<int>(random() % 3) - 1);
    }
  }
  in.lse.assign(static_cast<std::size_t>(c.batch) * c.heads * c.tokens, std::nanf(""));
  return in;
}

// The planner's tensors on the device.
struct Planner {
  const AdaSpaInputs& in;
  int segments, words, heads;
  DeviceArray<char> q, k, workspace;
  DeviceArray<float> bias, lse_in, lse;
  DeviceArray<std::int32_t> action, geometry, previous, query_offsets, key_offsets, keep;
  AdaSpaPath path;

  Planner(const AdaSpaInputs& in, AdaSpaPath path)
      : in(in),
        segments(AdaSpaSegments(in.problem.tokens, in.problem.block_size, in.problem.text)),
        words(KeepWords(segments)),
        heads(in.problem.batch * in.problem.heads),
        q(Encode(in.problem.type, in.q)),
        k(Encode(in.problem.type, in.k)),
        workspace(AdaSpaWorkspaceSize(in.problem)),
        bias(in.key_bias),
        lse_in(in.lse),
        lse(in.lse.size()),
        action(std::vector<std::int32_t>{6}),
        geometry(std::vector<std::int32_t>{1, 1, in.problem.tokens - in.text_tokens}),
        previous(static_cast<std::size_t>(heads) * segments * words),
        query_offsets(static_cast<std::size_t>(heads) * (segments + 1)),
        key_offsets(query_offsets.size()),
        keep(previous.size()),
        path(path) {
    workspace.Poison();
    previous.Poison(0x37);
  }
  AdaSpaBuffers Buffers(bool with_previous) const {
    AdaSpaBuffers b;
    b.q = q.get();
    b.k = k.get();
    b.action = action.get();
    b.geometry = geometry.get();
    b.key_bias = in.key_bias.empty() ? nullptr : bias.get();
    b.lse_in = lse_in.get();
    b.lse = lse.get();
    b.previous_keep = with_previous ? previous.get() : nullptr;
    b.plan.query_offsets = query_offsets.get();
    b.plan.key_offsets = key_offsets.get();
    b.plan.keep = keep.get();
    return b;
  }
  void Run(int code, bool with_previous = false) {
    action.Set({code});
    lse.Poison();
    keep.Poison();
    query_offsets.Poison();
    key_offsets.Poison();
    CHECK(LaunchAdaSpaPlan(in.problem, Buffers(with_previous), workspace.get(), workspace.size(),
                           nullptr, path) == Status::kOk);
    CUDA_OK(cudaDeviceSynchronize());
  }
  // W, with which the workspace begins.
  std::vector<float> Mass() const {
    std::vector<float> mass(static_cast<std::size_t>(heads) * segments * segments);
    CUDA_OK(cudaMemcpy(mass.data(), workspace.get(), mass.size() * 4, cudaMemcpyDeviceToHost));
    return mass;
  }
};

void CheckOffsets(const AdaSpaInputs& in, const std::vector<std::int32_t>& offsets, int segments) {
  const Blocks blocks(in);
  bool good = true;
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    const int segment = static_cast<int>(i % (segments + 1));
    int expected = segment == 0 ? 0 : in.problem.tokens;
    const int before = segment - (in.problem.text == TextPosition::kFirst ? 1 : 0);
    if (segment > 0 && segment < segments) {
      expected = blocks.video_first + std::min(before * blocks.size, blocks.video);
    }
    good = good && offsets[i] == expected;
  }
  CHECK(good);
}

struct Worst {
  double lse = 0, mass = 0, recall_margin = 1;
  int wrong_rows = 0;
};

// Compares a plan with the reference; `cold` says which LSE it was made with.
Worst CheckPlan(const Planner& planner, bool cold) {
  const AdaSpaInputs& in = planner.in;
  const AdaSpaProblem& p = in.problem;
  const Blocks blocks(in);
  const int n = planner.segments, video = blocks.VideoBlocks(), all = blocks.All();
  const int shift = p.text == TextPosition::kFirst ? 1 : 0;
  const int text_segment = p.text == TextPosition::kNone ? -1 : shift == 1 ? 0 : n - 1;
  const bool tensor_cores = planner.path != AdaSpaPath::kPortable && p.type != DataType::kFloat32 &&
                            p.block_size == 64 && p.head_dim % 64 == 0;
  const std::vector<float> lse = planner.lse.Get(), mass = planner.Mass();
  const std::vector<std::int32_t> keep = planner.keep.Get();
  CheckOffsets(in, planner.query_offsets.Get(), n);
  CHECK(SameBytes(planner.query_offsets.Get(), planner.key_offsets.Get()));
  Worst worst;
  for (int b = 0; b < p.batch; ++b) {
    std::vector<AdaSpaHead> heads;
    std::vector<double> recalls;
    for (int h = 0; h < p.heads; ++h) {
      heads.push_back(SearchHead(in, b * p.heads + h, cold));
      recalls.push_back(heads.back().recall);
      worst.recall_margin = std::min(
          worst.recall_margin, std::abs(recalls.back() - static_cast<double>(p.recall_threshold)));
    }
    const std::vector<int> kept = KeptOfHeads(p, recalls, video);
    // Heads of nearly the same recall may stand in either order.
    const auto may_keep = [&](int h, int count) {
      for (int g = 0; g < p.heads; ++g) {
        if (kept[g] == count && std::abs(recalls[g] - recalls[h]) < 2e-5) return true;
      }
      return false;
    };
    for (int h = 0; h < p.heads; ++h) {
      const int bh = b * p.heads + h;
      const AdaSpaHead& head = heads[h];
      for (int t = 0; t < p.tokens; ++t) {
        const double got = lse[static_cast<std::size_t>(bh) * p.tokens + t];
        const double error = got == head.lse[t] ? 0 : std::abs(got - head.lse[t]) /
                                                          std::max(1.0, std::abs(head.lse[t]));
        if (!(error <= worst.lse)) worst.lse = error;
      }
      for (int i = 0; i < all; ++i) {
        for (int j = 0; j < all; ++j) {
          const double expected = head.mass[static_cast<std::size_t>(i) * all + j];
          const double got = mass[(static_cast<std::size_t>(bh) * n + i) * n + j];
          const double error = std::abs(got - expected) / (expected + 1e-6);
          if (!(error <= worst.mass)) worst.mass = error;
        }
      }
      for (int segment = 0; segment < n; ++segment) {
        const std::int32_t* row = &keep[(static_cast<std::size_t>(bh) * n + segment) * planner.words];
        bool good = true;
        for (int j = n; j < planner.words * 32; ++j) good = good && !Keeps(row, j);
        const int i = segment - shift;
        if (segment == text_segment) {
          for (int j = 0; j < n; ++j) good = good && Keeps(row, j);
        } else {
          if (text_segment >= 0) good = good && Keeps(row, text_segment);
          int count = 0;
          double lowest = kHugeValue, highest = -kHugeValue;
          for (int j = 0; j < n; ++j) {
            if (j == text_segment) continue;
            const bool bit = Keeps(row, j);
            const int other = j - shift;
            good = good && (!bit || (i < video && other < video));
            if (i >= video || other >= video) continue;
            const double value = head.mass[static_cast<std::size_t>(i) * all + other];
            count += bit;
            (bit ? lowest : highest) =
                bit ? std::min(lowest, value) : std::max(highest, value);
          }
          good = good && (i >= video || may_keep(h, count));
          const double near = tensor_cores ? 5e-4 : 2e-5;
          good = good && (i >= video || lowest >= highest * (1 - near) - 1e-9);
        }
        worst.wrong_rows += !good;
      }
    }
  }
  CHECK(worst.wrong_rows == 0);
  // Scores of 100 and more carry their own rounding into exp.
  CHECK(worst.lse < 1e-5);
  CHECK(worst.mass < (tensor_cores ? 2e-4 : 1e-4));
  return worst;
}

std::string Describe(const Case& c) {
  char text[200];
  std::snprintf(text, sizeof text,
                "B%d H%d S%d D%d %s %s block %d density %.2f text %d:%d%s sharpness %g path %d",
                c.batch, c.heads, c.tokens, c.head_dim,
                c.type == DataType::kFloat32   ? "f32"
                : c.type == DataType::kFloat16 ? "f16"
                                               : "bf16",
                c.layout == Layout::kBhsd ? "BHSD" : "BSHD", c.block_size, c.density,
                static_cast<int>(c.text), c.text_tokens, c.bias ? " biased" : "", c.sharpness,
                static_cast<int>(c.path));
  return text;
}

void TestCase(const Case& c) {
  const int before = Failures();
  AdaSpaInputs in = MakeInputs(c, 7);
  Planner planner(in, c.path);
  planner.Run(6);
  const Worst cold = CheckPlan(planner, true);
  const std::vector<float> lse = planner.lse.Get();
  const std::vector<std::int32_t> cold_keep = planner.keep.Get();
  planner.Run(5);
  CHECK(SameBytes(planner.keep.Get(), cold_keep));

  // A warm search: other tokens, the LSE of the first ones with an error that sways rows.
  AdaSpaInputs next = MakeInputs(c, 8);
  for (std::size_t i = 0; i < lse.size(); ++i) next.lse[i] = lse[i] + .3f * std::sin(.7f * i);
  Planner warm(next, c.path);
  warm.Run(2);
  const Worst stale = CheckPlan(warm, false);
  CHECK(SameBytes(warm.lse.Get(), next.lse));
  const std::vector<std::int32_t> warm_keep = warm.keep.Get();
  warm.workspace.Poison();
  warm.Run(1);
  CHECK(SameBytes(warm.keep.Get(), warm_keep));

  // Steps that do not plan: the last plan, or everything.
  for (const int code : {0, 3, 4, 7}) {
    warm.Run(code, true);
    CHECK(SameBytes(warm.keep.Get(), warm.previous.Get()));
    CHECK(SameBytes(warm.lse.Get(), next.lse));
    CheckOffsets(next, warm.query_offsets.Get(), warm.segments);
  }
  warm.Run(3, false);
  bool everything = true;
  const std::vector<std::int32_t> all = warm.keep.Get();
  for (std::size_t row = 0; row < all.size(); row += warm.words) {
    for (int j = 0; j < warm.words * 32; ++j) {
      everything = everything && Keeps(&all[row], j) == (j < warm.segments);
    }
  }
  CHECK(everything);
  std::printf("%s%s: LSE %.1e, W %.1e; warm W %.1e, wrong rows %d + %d, recall margin %.4f %.4f\n",
              Failures() == before ? "ok " : "BAD ", Describe(c).c_str(), cold.lse, cold.mass,
              stale.mass, cold.wrong_rows, stale.wrong_rows, cold.recall_margin,
              stale.recall_margin);
}

// Tokens that are all alike: all masses and recalls are equal, and the lower indices win.
void TestTies(DataType type, int head_dim, AdaSpaPath path) {
  Case c;
  c.heads = 4, c.tokens = 640, c.type = type, c.head_dim = head_dim, c.density = .2f;
  c.threshold = .1f;
  AdaSpaInputs in = MakeInputs(c, 1);
  std::fill(in.q.begin(), in.q.end(), .25f);
  std::fill(in.k.begin(), in.k.end(), .25f);
  Planner planner(in, path);
  planner.Run(6);
  const std::vector<std::int32_t> keep = planner.keep.Get();
  bool good = true;
  for (int i = 0; i < 40; ++i) good = good && keep[i] == (i < 20 ? 0b1 : 0b111);
  CHECK(good);
}

// Keys that are all hidden: LSE is +inf, W is 0, the first blocks are kept; with an incoming LSE of
// +inf too.
void TestHidden(DataType type, int head_dim, AdaSpaPath path) {
  Case c;
  c.batch = 2, c.heads = 2, c.tokens = 500, c.type = type, c.head_dim = head_dim;
  c.bias = true, c.threshold = 2;
  AdaSpaInputs in = MakeInputs(c, 3);
  Planner planner(in, path);
  planner.Run(6);
  const std::vector<float> lse = planner.lse.Get();
  const auto check = [&] {
    const std::vector<float> mass = planner.Mass();
    const std::vector<std::int32_t> keep = planner.keep.Get();
    bool good = true;
    for (std::size_t i = mass.size() / 2; i < mass.size(); ++i) good = good && mass[i] == 0;
    for (std::size_t i = keep.size() / 2; i < keep.size(); ++i) good = good && keep[i] == 0b11;
    CHECK(good);
  };
  bool infinite = true;
  for (std::size_t i = lse.size() / 2; i < lse.size(); ++i) infinite = infinite && lse[i] == kInfinity;
  CHECK(infinite);
  check();
  planner.lse_in.Set(lse);
  planner.Run(2);
  check();
}

void TestGraph() {
  Case c;
  c.tokens = 1500, c.head_dim = 128;
  AdaSpaInputs in = MakeInputs(c, 2);
  Planner planner(in, AdaSpaPath::kAuto);
  planner.Run(6);
  const std::vector<std::int32_t> expected = planner.keep.Get();
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  CUDA_OK(cudaStreamCreate(&stream));
  CUDA_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  CHECK(LaunchAdaSpaPlan(in.problem, planner.Buffers(true), planner.workspace.get(),
                         planner.workspace.size(), stream) == Status::kOk);
  CUDA_OK(cudaStreamEndCapture(stream, &graph));
  CUDA_OK(cudaGraphInstantiate(&exec, graph, 0));
  int different = 0;
  for (int i = 0; i < 60; ++i) {
    const bool plans = i % 3 != 2;
    planner.action.Set({plans ? 6 : 3});
    planner.keep.Poison();
    planner.workspace.Poison();
    CUDA_OK(cudaDeviceSynchronize());
    CUDA_OK(cudaGraphLaunch(exec, stream));
    CUDA_OK(cudaStreamSynchronize(stream));
    different += !SameBytes(planner.keep.Get(), plans ? expected : planner.previous.Get());
  }
  CHECK(different == 0);
  CUDA_OK(cudaGraphExecDestroy(exec));
  CUDA_OK(cudaGraphDestroy(graph));
  CUDA_OK(cudaStreamDestroy(stream));
}

void TestArguments() {
  AdaSpaProblem p;
  AdaSpaBuffers b;
  CHECK(LaunchAdaSpaPlan(p, b, nullptr, 0, nullptr) == Status::kInvalidArgument);
  CHECK(AdaSpaWorkspaceSize(p) == 0);
  p.batch = p.heads = 1, p.tokens = 100, p.head_dim = 32;
  CHECK(LaunchAdaSpaPlan(p, b, nullptr, 0, nullptr) == Status::kInvalidArgument);
  alignas(1024) static char memory[1024];
  b.q = b.k = memory;
  b.action = b.geometry = reinterpret_cast<std::int32_t*>(memory);
  b.lse_in = b.lse = reinterpret_cast<float*>(memory);
  b.plan.query_offsets = b.plan.key_offsets = b.plan.keep = reinterpret_cast<std::int32_t*>(memory);
  CHECK(LaunchAdaSpaPlan(p, b, memory, 1, nullptr) == Status::kWorkspaceTooSmall);
  b.geometry = nullptr;
  p.text = TextPosition::kLast;
  CHECK(LaunchAdaSpaPlan(p, b, memory, 1 << 20, nullptr) == Status::kInvalidArgument);
  p.head_dim = 136;
  CHECK(LaunchAdaSpaPlan(p, b, memory, 1 << 20, nullptr) == Status::kUnsupported);
}

void TestAll(bool quick) {
  const TextPosition texts[] = {TextPosition::kNone, TextPosition::kFirst, TextPosition::kLast};
  int i = 0;
  // sm_90a.
  for (const int tokens : quick ? std::vector<int>{300}
                                : std::vector<int>{1, 5, 63, 64, 65, 128, 130, 300, 513, 1100, 2085}) {
    for (const TextPosition text : texts) {
      Case c;
      c.batch = 1 + i % 2;
      c.heads = 2 + i % 4;
      c.tokens = tokens;
      c.head_dim = i % 3 == 1 ? 64 : 128;
      c.type = i % 4 == 3 ? DataType::kFloat16 : DataType::kBFloat16;
      c.layout = i % 2 ? Layout::kBshd : Layout::kBhsd;
      c.text = text;
      c.text_tokens = text == TextPosition::kNone ? 0 : std::min(tokens - 1, 7 + 61 * (i % 3));
      c.bias = i % 5 == 2 || i % 5 == 4;
      c.sharpness = i % 7 == 3 ? 12.f : 1.f;
      c.density = i % 11 == 5 ? 1.f : .1f + .07f * (i % 6);
      c.threshold = i % 9 == 8 ? 2.f : .45f;
      TestCase(c);
      ++i;
    }
  }
  // Portable.
  const int dims[] = {32, 48, 64, 80, 96, 112, 128};
  for (const int size : quick ? std::vector<int>{16} : std::vector<int>{64, 16, 1, 24, 100, 128, 33}) {
    for (const TextPosition text : texts) {
      Case c;
      c.batch = 1 + i % 2;
      c.heads = 1 + i % 4;
      c.tokens = 97 + 31 * (i % 5);
      c.head_dim = dims[i % 7];
      c.type = i % 3 == 0 ? DataType::kFloat32 : i % 3 == 1 ? DataType::kBFloat16 : DataType::kFloat16;
      c.layout = i % 2 ? Layout::kBshd : Layout::kBhsd;
      c.block_size = size;
      c.text = text;
      c.text_tokens = text == TextPosition::kNone ? 0 : 9 + 20 * (i % 4);
      c.bias = i % 4 == 2;
      c.density = .1f + .07f * (i % 6);
      c.threshold = .45f;
      c.path = AdaSpaPath::kPortable;
      TestCase(c);
      ++i;
    }
  }
  for (const AdaSpaPath path : {AdaSpaPath::kAuto, AdaSpaPath::kPortable}) {
    TestTies(DataType::kBFloat16, 128, path);
    TestTies(DataType::kFloat16, 64, path);
    TestHidden(DataType::kBFloat16, 128, path);
    TestHidden(DataType::kFloat16, 64, path);
  }
  TestTies(DataType::kFloat32, 32, AdaSpaPath::kAuto);
  if (!quick) TestGraph();
}

}  // namespace
}  // namespace sparsedit::test

int main(int argc, char** argv) {
  using namespace sparsedit::test;
  TestArguments();
  if (!HasGpu()) {
    std::printf("no GPU: skipped\n");
    return Report("adaspa_test") == 0 ? kSkipped : 1;
  }
  TestAll(argc > 1 && std::strcmp(argv[1], "--quick") == 0);
  return Report("adaspa_test");
}
