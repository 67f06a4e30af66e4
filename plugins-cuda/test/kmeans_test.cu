// K-means against float64 on the CPU: labels up to near ties, order, offsets, means, actions, text,
// determinism, CUDA graphs; on both builds of the kernel where the device has them.
// With --quick only small cases, for compute-sanitizer.
#include "kernels/kmeans.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <random>
#include <string>

#include "test/check.h"
#include "test/device_array.h"
#include "test/svg2_reference.h"

namespace sparsedit::test {
namespace {

enum class Data { kRandom, kPlanted, kSkewed, kConstant, kShifted };

struct Case {
  KmeansProblem problem;
  Data data = Data::kRandom;
  bool by_geometry = false;  // the device learns the text's length from `geometry`
};

int VideoTokens(const KmeansProblem& p) { return p.tokens - p.text_tokens; }
int FirstVideo(const KmeansProblem& p) {
  return p.text == TextPosition::kFirst ? p.text_tokens : 0;
}

// [B,H,S,D] values before the layout.
std::vector<float> MakeTokens(const Case& c, int clusters, unsigned seed) {
  const KmeansProblem& p = c.problem;
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const int heads = p.batch * p.heads, video = VideoTokens(p), first = FirstVideo(p);
  std::vector<float> x(static_cast<std::size_t>(heads) * p.tokens * p.head_dim);
  for (int bh = 0; bh < heads; ++bh) {
    std::vector<float> centres(static_cast<std::size_t>(clusters) * p.head_dim);
    for (float& v : centres) v = 10.f * normal(random);
    for (int s = 0; s < p.tokens; ++s) {
      float* token = &x[(static_cast<std::size_t>(bh) * p.tokens + s) * p.head_dim];
      const int t = s - first;
      int centre = 0;
      if (t >= 0 && t < video) centre = static_cast<int>(static_cast<long long>(t) * clusters / video);
      if (c.data == Data::kSkewed) centre = random() % 4 ? 0 : random() % clusters;
      for (int d = 0; d < p.head_dim; ++d) {
        const float noise = normal(random);
        switch (c.data) {
          case Data::kRandom: token[d] = noise; break;
          case Data::kPlanted: token[d] = centres[centre * p.head_dim + d] + .1f * noise; break;
          case Data::kSkewed: token[d] = .3f * centres[centre * p.head_dim + d] + noise; break;
          case Data::kConstant: token[d] = 1.5f; break;
          case Data::kShifted: token[d] = 30.f + noise; break;
        }
      }
    }
  }
  return x;
}

std::vector<float> ToLayout(const KmeansProblem& p, const std::vector<float>& x) {
  if (p.layout == Layout::kBhsd) return x;
  std::vector<float> y(x.size());
  for (int b = 0; b < p.batch; ++b)
    for (int h = 0; h < p.heads; ++h)
      for (int s = 0; s < p.tokens; ++s)
        std::copy_n(&x[((static_cast<std::size_t>(b) * p.heads + h) * p.tokens + s) * p.head_dim],
                    p.head_dim,
                    &y[((static_cast<std::size_t>(b) * p.tokens + s) * p.heads + h) * p.head_dim]);
  return y;
}

// What one launch leaves, of queries or keys.
struct Result {
  std::vector<float> centroids;
  std::vector<std::int32_t> order, offsets;
};
struct Results {
  Result side[2];
};
bool Same(const Results& a, const Results& b) {
  bool same = true;
  for (int i = 0; i < 2; ++i) {
    same = same && SameBytes(a.side[i].centroids, b.side[i].centroids) &&
           SameBytes(a.side[i].order, b.side[i].order) &&
           SameBytes(a.side[i].offsets, b.side[i].offsets);
  }
  return same;
}

// Device memory of a case, and its launches.
class Runner {
 public:
  Runner(const Case& c, KmeansPath path) : case_(c), problem_(c.problem), path_(path) {
    const KmeansProblem& p = problem_;
    for (int i = 0; i < 2; ++i) {
      const int clusters = Clusters(i);
      values_[i] = Rounded(p.type, MakeTokens(c, clusters, 17 + i));
      x_[i] = DeviceArray<char>(Encode(p.type, ToLayout(p, values_[i])));
      const std::size_t heads = static_cast<std::size_t>(p.batch) * p.heads;
      in_[i] = DeviceArray<float>(heads * clusters * p.head_dim);
      out_[i] = DeviceArray<float>(heads * clusters * p.head_dim);
      order_[i] = DeviceArray<std::int32_t>(heads * p.tokens);
      previous_order_[i] = DeviceArray<std::int32_t>(heads * p.tokens);
      offsets_[i] = DeviceArray<std::int32_t>(heads * (SegmentsOf(clusters, p.text) + 1));
      previous_offsets_[i] = DeviceArray<std::int32_t>(offsets_[i].size());
      in_[i].Poison();
      previous_order_[i].Poison(0x11);
      previous_offsets_[i].Poison(0x22);
    }
    action_ = DeviceArray<std::int32_t>(1);
    geometry_ = DeviceArray<std::int32_t>(std::vector<std::int32_t>{1, 1, VideoTokens(p)});
    workspace_ = DeviceArray<char>(KmeansWorkspaceSize(p));
    workspace_.Poison();
    CUDA_OK(cudaStreamCreate(&stream_));
  }
  ~Runner() { cudaStreamDestroy(stream_); }

  int Clusters(int side) const {
    return side == 0 ? problem_.query_clusters : problem_.key_clusters;
  }
  cudaStream_t stream() const { return stream_; }
  const std::vector<float>& values(int side) const { return values_[side]; }

  KmeansBuffers Buffers() const {
    KmeansBuffers b;
    b.q = x_[0].get();
    b.k = x_[1].get();
    b.action = action_.get();
    if (case_.by_geometry) b.geometry = geometry_.get();
    b.query_centroids_in = in_[0].get();
    b.key_centroids_in = in_[1].get();
    b.query_centroids = out_[0].get();
    b.key_centroids = out_[1].get();
    b.previous.query_order = previous_order_[0].get();
    b.previous.key_order = previous_order_[1].get();
    b.previous.query_offsets = previous_offsets_[0].get();
    b.previous.key_offsets = previous_offsets_[1].get();
    b.plan.query_order = order_[0].get();
    b.plan.key_order = order_[1].get();
    b.plan.query_offsets = offsets_[0].get();
    b.plan.key_offsets = offsets_[1].get();
    return b;
  }

  void SetAction(std::int32_t code) { action_.Set({code}); }
  void SetIncoming(const Results& state) {
    for (int i = 0; i < 2; ++i) in_[i].Set(state.side[i].centroids);
  }
  void PoisonOutputs() {
    for (int i = 0; i < 2; ++i) {
      out_[i].Poison();
      order_[i].Poison();
      offsets_[i].Poison();
    }
  }
  Status Enqueue(int iterations, int init_iterations, const KmeansBuffers& buffers) {
    KmeansProblem p = problem_;
    p.iterations = iterations;
    p.init_iterations = init_iterations;
    if (case_.by_geometry) p.text_tokens = 0;
    return LaunchKmeans(p, buffers, workspace_.get(), workspace_.size(), stream_, path_);
  }
  Results Fetch() {
    CUDA_OK(cudaStreamSynchronize(stream_));
    Results r;
    for (int i = 0; i < 2; ++i) {
      r.side[i] = {out_[i].Get(), order_[i].Get(), offsets_[i].Get()};
    }
    return r;
  }
  Results Run(std::int32_t code, int iterations, int init_iterations) {
    SetAction(code);
    PoisonOutputs();
    CHECK(Enqueue(iterations, init_iterations, Buffers()) == Status::kOk);
    return Fetch();
  }

  DeviceArray<std::int32_t>& previous_order(int side) { return previous_order_[side]; }
  DeviceArray<std::int32_t>& previous_offsets(int side) { return previous_offsets_[side]; }

 private:
  Case case_;
  KmeansProblem problem_;
  KmeansPath path_;
  std::vector<float> values_[2];
  DeviceArray<char> x_[2], workspace_;
  DeviceArray<float> in_[2], out_[2];
  DeviceArray<std::int32_t> order_[2], offsets_[2], previous_order_[2], previous_offsets_[2], action_,
      geometry_;
  cudaStream_t stream_ = nullptr;
};

struct Tally {
  std::atomic<long long> tokens{0}, near_ties{0}, wrong{0};
  double worst_mean = 0;
};

Matrix VideoOf(const KmeansProblem& p, const std::vector<float>& values, int bh) {
  Matrix tokens(VideoTokens(p), p.head_dim);
  const float* source =
      &values[(static_cast<std::size_t>(bh) * p.tokens + FirstVideo(p)) * p.head_dim];
  if (tokens.rows > 0) std::copy_n(source, tokens.values.size(), tokens.values.begin());
  return tokens;
}

// The labels that order and offsets state, after a check that they are a plan: every token once,
// ascending in its segment, text where it belongs.
std::vector<int> LabelsOf(const KmeansProblem& p, const Result& r, int clusters, int bh, bool& valid) {
  const int segments = SegmentsOf(clusters, p.text);
  const std::int32_t* order = &r.order[static_cast<std::size_t>(bh) * p.tokens];
  const std::int32_t* offsets = &r.offsets[static_cast<std::size_t>(bh) * (segments + 1)];
  std::vector<int> labels(VideoTokens(p), -1);
  const int shift = p.text == TextPosition::kFirst ? 1 : 0;
  valid = offsets[0] == 0 && offsets[segments] == p.tokens;
  std::vector<bool> seen(p.tokens);
  for (int j = 0; valid && j < segments; ++j) {
    if (offsets[j + 1] < offsets[j] || offsets[j + 1] > p.tokens) valid = false;
    const bool text = j < shift || j >= clusters + shift;
    if (text && offsets[j + 1] - offsets[j] != p.text_tokens) valid = false;
    for (int i = offsets[j]; valid && i < offsets[j + 1]; ++i) {
      const int token = order[i];
      if (token < 0 || token >= p.tokens || seen[token] || (i > offsets[j] && order[i - 1] >= token)) {
        valid = false;
        break;
      }
      seen[token] = true;
      const int video = token - FirstVideo(p);
      const bool is_video = video >= 0 && video < VideoTokens(p);
      if (is_video == text) valid = false;
      if (is_video && valid) labels[video] = j - shift;
    }
  }
  return labels;
}

// One iteration from `from` (null: initial centroids) led to `to`.
void CheckIteration(const Case& c, const Runner& runner, const Results* from, const Results& to,
                    Tally& tally) {
  const KmeansProblem& p = c.problem;
  const double unit = p.type == DataType::kFloat32 ? std::ldexp(1., -21) : std::ldexp(1., -11);
  for (int i = 0; i < 2; ++i) {
    const int clusters = runner.Clusters(i);
    for (int bh = 0; bh < p.batch * p.heads; ++bh) {
      const Matrix tokens = VideoOf(p, runner.values(i), bh);
      Matrix incoming(clusters, p.head_dim), outgoing(clusters, p.head_dim);
      const std::size_t start = static_cast<std::size_t>(bh) * clusters * p.head_dim;
      if (from != nullptr) {
        std::copy_n(&from->side[i].centroids[start], incoming.values.size(), incoming.values.begin());
      } else {
        incoming = InitialCentroids(tokens, clusters);
      }
      std::copy_n(&to.side[i].centroids[start], outgoing.values.size(), outgoing.values.begin());
      bool valid = false;
      const std::vector<int> labels = LabelsOf(p, to.side[i], clusters, bh, valid);
      CHECK(valid);
      if (!valid) return;
      std::vector<double> norms(clusters);
      for (int j = 0; j < clusters; ++j) norms[j] = Dot(incoming[j], incoming[j], p.head_dim);
      ParallelFor(tokens.rows, [&](int t) {
        int best = 0;
        double best_score = INFINITY, own = 0;
        for (int j = 0; j < clusters; ++j) {
          const double score = norms[j] - 2 * Dot(tokens[t], incoming[j], p.head_dim);
          if (score < best_score) best_score = score, best = j;
          if (j == labels[t]) own = score;
        }
        ++tally.tokens;
        if (best == labels[t]) return;
        // Exactly equal centroids: the lower index must have won.
        const bool twins = std::equal(incoming[best], incoming[best] + p.head_dim, incoming[labels[t]]);
        const double size = std::sqrt(Dot(tokens[t], tokens[t], p.head_dim));
        const double far = std::sqrt(std::max(0., size * size + own));
        const double near = std::sqrt(std::max(0., size * size + best_score));
        const double norm = std::sqrt(std::max(norms[best], norms[labels[t]]));
        const double tolerance = unit * norm * (far + near) + 2e-6 * norm * (norm + size);
        if (twins || own - best_score > tolerance) {
          ++tally.wrong;
        } else {
          ++tally.near_ties;
        }
      });
      const Matrix means = Update(tokens, labels, incoming);
      double largest = 1e-30;
      for (const double v : tokens.values) largest = std::max(largest, std::abs(v));
      for (std::size_t e = 0; e < means.values.size(); ++e) {
        const double error = std::abs(means.values[e] - outgoing.values[e]) / largest;
        tally.worst_mean = std::isnan(error) ? INFINITY : std::max(tally.worst_mean, error);
      }
    }
  }
}

const char* NameOf(Data data) {
  switch (data) {
    case Data::kRandom: return "random";
    case Data::kPlanted: return "planted";
    case Data::kSkewed: return "skewed";
    case Data::kConstant: return "constant";
    case Data::kShifted: return "shifted";
  }
  return "";
}

void TestCase(const Case& c, KmeansPath path) {
  const KmeansProblem& p = c.problem;
  const int failures = Failures();
  Runner runner(c, path);
  Tally tally;

  const Results first = runner.Run(6, 1, 1);
  CheckIteration(c, runner, nullptr, first, tally);
  Results chain = first;
  for (int i = 0; i < 3; ++i) {
    runner.SetIncoming(chain);
    const Results next = runner.Run(i == 1 ? 1 : 2, 1, 7);
    CheckIteration(c, runner, &chain, next, tally);
    chain = next;
  }
  CHECK(tally.wrong == 0);
  CHECK(tally.worst_mean < 1e-5);
  // In a near tie a rounding decides; there may be few.
  CHECK(tally.near_ties <= tally.tokens / 100 + 2);

  // Three iterations in one launch are three launches of one, to the bit.
  runner.SetIncoming(first);
  const Results together = runner.Run(2, 3, 1);
  if (c.data != Data::kConstant) CHECK(Same(together, chain));

  if (c.data == Data::kPlanted) {
    const Results cold = runner.Run(5, 1, 4);
    for (int i = 0; i < 2; ++i) {
      for (int bh = 0; bh < p.batch * p.heads; ++bh) {
        const Matrix tokens = VideoOf(p, runner.values(i), bh);
        const Clustering reference =
            Kmeans(tokens, InitialCentroids(tokens, runner.Clusters(i)), 4);
        bool valid = false;
        CHECK(LabelsOf(p, cold.side[i], runner.Clusters(i), bh, valid) == reference.labels);
      }
    }
  }

  // Steps that do not plan copy state and plan.
  for (const int code : {0, 3, 7}) {
    for (int i = 0; i < 2; ++i) {
      runner.previous_order(i).Set(first.side[i].order);
      runner.previous_offsets(i).Set(first.side[i].offsets);
    }
    runner.SetIncoming(first);
    CHECK(Same(runner.Run(code, 2, 2), first));
  }
  // Without a plan to copy, the outputs stay as they were.
  runner.SetAction(0);
  runner.PoisonOutputs();
  KmeansBuffers buffers = runner.Buffers();
  buffers.previous = PlanView();
  CHECK(runner.Enqueue(2, 2, buffers) == Status::kOk);
  const Results dense = runner.Fetch();
  CHECK(SameBytes(dense.side[1].centroids, first.side[1].centroids));
  CHECK(std::all_of(dense.side[0].order.begin(), dense.side[0].order.end(),
                    [](std::int32_t v) { return v == -1; }));

  std::printf("%-4s %d %s B%d H%d S%-5d D%-3d %s C %d/%d text %d/%d %-8s: %lld tokens, %lld near ties, "
              "%lld wrong, means to %.1e%s\n",
              path == KmeansPath::kHopper ? "sm90" : "port", c.by_geometry,
              p.type == DataType::kBFloat16 ? "bf16" : p.type == DataType::kFloat16 ? "f16 " : "f32 ",
              p.batch, p.heads, p.tokens, p.head_dim, p.layout == Layout::kBhsd ? "BHSD" : "BSHD",
              p.query_clusters, p.key_clusters, static_cast<int>(p.text), p.text_tokens,
              NameOf(c.data), tally.tokens.load(), tally.near_ties.load(), tally.wrong.load(), tally.worst_mean,
              Failures() > failures ? "  FAILED" : "");
}

void TestGraph(KmeansPath path) {
  Case c;
  c.problem = {1, 2, 5000, 64, DataType::kBFloat16, Layout::kBshd, 20, 70, TextPosition::kLast, 9, 2, 3};
  Runner runner(c, path);
  const Results cold = runner.Run(6, 2, 3);
  runner.SetIncoming(cold);
  const Results warm = runner.Run(2, 2, 3);
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  CUDA_OK(cudaStreamBeginCapture(runner.stream(), cudaStreamCaptureModeThreadLocal));
  CHECK(runner.Enqueue(2, 3, runner.Buffers()) == Status::kOk);
  CUDA_OK(cudaStreamEndCapture(runner.stream(), &graph));
  CUDA_OK(cudaGraphInstantiate(&exec, graph, 0));
  int different = 0;
  for (int i = 0; i < 100; ++i) {
    // The action is read at each replay: cold, warm and reuse through one graph.
    const int code = i % 4 == 0 ? 6 : i % 4 == 3 ? 3 : 2;
    runner.SetAction(code);
    runner.PoisonOutputs();
    for (int side = 0; side < 2; ++side) {
      runner.previous_order(side).Set(cold.side[side].order);
      runner.previous_offsets(side).Set(cold.side[side].offsets);
    }
    CUDA_OK(cudaGraphLaunch(exec, runner.stream()));
    different += !Same(runner.Fetch(), code == 2 ? warm : cold);
  }
  CHECK(different == 0);
  CUDA_OK(cudaGraphExecDestroy(exec));
  CUDA_OK(cudaGraphDestroy(graph));
  std::printf("graph: 100 replays, %d different\n", different);
}

void TestArguments() {
  KmeansProblem p{1, 1, 64, 32, DataType::kFloat16, Layout::kBhsd, 2, 3, TextPosition::kNone, 0, 1, 1};
  KmeansBuffers b;
  CHECK(LaunchKmeans(p, b, nullptr, 0, nullptr) == Status::kInvalidArgument);
  alignas(1024) static char memory[1024];
  b.q = b.k = memory;
  b.query_centroids_in = b.key_centroids_in = b.query_centroids = b.key_centroids =
      reinterpret_cast<float*>(memory);
  b.action = b.plan.query_order = b.plan.key_order = b.plan.query_offsets = b.plan.key_offsets =
      reinterpret_cast<std::int32_t*>(memory);
  CHECK(LaunchKmeans(p, b, nullptr, 0, nullptr) == Status::kInvalidArgument);
  CHECK(LaunchKmeans(p, b, memory, 0, nullptr) == Status::kWorkspaceTooSmall);
  b.previous.key_order = b.action;
  CHECK(LaunchKmeans(p, b, memory, 0, nullptr) == Status::kInvalidArgument);
  b.previous = PlanView();
  b.q = memory + 2;
  CHECK(LaunchKmeans(p, b, memory, 0, nullptr) == Status::kInvalidArgument);
  p.head_dim = 33;
  CHECK(LaunchKmeans(p, b, memory, 0, nullptr) == Status::kUnsupported);
  CHECK(KmeansWorkspaceSize(p) == 0);
}

std::vector<Case> Cases(bool reduced) {
  const DataType types[] = {DataType::kBFloat16, DataType::kFloat16, DataType::kFloat32};
  std::vector<Case> cases;
  const auto add = [&](int batch, int heads, int tokens, int dim, int type, bool bshd, int cq, int ck,
                       TextPosition text, int text_tokens, Data data, bool geometry = false) {
    Case c;
    c.problem = {batch, heads, tokens, dim, types[type], bshd ? Layout::kBshd : Layout::kBhsd,
                 cq, ck, text, text_tokens, 1, 1};
    c.data = data;
    c.by_geometry = geometry;
    cases.push_back(c);
  };
  constexpr TextPosition kNone = TextPosition::kNone, kFirst = TextPosition::kFirst,
                         kLast = TextPosition::kLast;
  int i = 0;
  for (const int tokens : reduced ? std::vector<int>{1, 65, 300} : std::vector<int>{1, 7, 63, 64, 65, 1000}) {
    for (const int dim : {64, 128}) {
      add(1, 2, tokens, dim, i % 3, i % 2, 5, 9, kNone, 0, Data::kRandom);
      ++i;
    }
  }
  if (!reduced) {
    for (int dim = 32; dim <= 128; dim += 16) {
      for (int type = 0; type < 3; ++type) {
        add(2, 2, 777, dim, type, dim % 32 != 0, 6, 70, kNone, 0, Data::kRandom);
      }
    }
  }
  for (int type = 0; type < 3; ++type) {
    add(2, 3, reduced ? 260 : 1500, 128, type, true, 10, 33, kLast, 20, Data::kPlanted);
    add(1, 2, reduced ? 260 : 1500, 64, type, false, 10, 130, kFirst, 13, Data::kSkewed, true);
  }
  add(1, 2, 50, 64, 0, false, 60, 200, kLast, 11, Data::kRandom, true);  // more clusters than tokens
  add(1, 1, 40, 64, 0, false, 3, 4, kFirst, 40, Data::kRandom);          // nothing but text
  add(1, 1, 500, 128, 0, false, 4, 8, kNone, 0, Data::kConstant);        // all centroids alike
  add(1, 2, reduced ? 300 : 3000, 128, 0, false, 20, 300, kNone, 0, Data::kShifted);
  if (!reduced) {
    add(1, 1, 9000, 128, 0, true, 300, 1000, kNone, 0, Data::kRandom);  // several groups and chunks
    add(1, 1, 9000, 128, 0, true, 300, 1000, kNone, 0, Data::kSkewed);
    add(1, 1, 9000, 64, 1, true, 100, 1500, kLast, 226, Data::kSkewed);
    add(1, 1, 5000, 128, 2, false, 300, 1000, kNone, 0, Data::kSkewed);
    add(1, 1, 6000, 64, 0, false, 3, kMaxClusters, kNone, 0, Data::kRandom);
  }
  return cases;
}

}  // namespace
}  // namespace sparsedit::test

int main(int argc, char** argv) {
  using namespace sparsedit;
  using namespace sparsedit::test;
  TestArguments();
  if (!HasGpu()) {
    std::printf("no GPU: skipped\n");
    return Report("kmeans_test") == 0 ? kSkipped : 1;
  }
  const bool reduced = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  int major = 0;
  CUDA_OK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
  for (const KmeansPath path : {KmeansPath::kPortable, KmeansPath::kHopper}) {
    if (path == KmeansPath::kHopper && major != 9) continue;
    for (const Case& c : Cases(reduced)) {
      if (path == KmeansPath::kHopper && c.problem.type == DataType::kFloat32) continue;
      TestCase(c, path);
    }
    if (!reduced) TestGraph(path);
  }
  return Report("kmeans_test");
}
