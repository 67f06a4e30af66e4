// Block-sparse attention on the GPU against the float64 reference, on both paths.
//
//   attention_test [--quick]      --quick: a few small cases, for compute-sanitizer
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstring>
#include <limits>
#include <string>

#include "kernels/block_sparse_attention.h"
#include "test/attention_reference.h"
#include "test/check.h"
#include "test/device_memory.h"

namespace sparsedit::test {
namespace {

struct Case {
  std::string name;
  PlanShape shape;
  int head_dim;
  DataType type = DataType::kBFloat16;
  Layout layout = Layout::kBhsd;
  double density = 0.3;
  double logit_gain = 1.0;
  int action = 2;
  bool with_empty = false;
  bool with_order = true;
  bool key_bias = false;
  bool mask_all = false;  // key_bias -inf everywhere in batch 0
  bool compensate = false;
  int block = 0;  // BlockPlan of such blocks, else a RandomPlan
  int band = -1;
  int text = 0;
  bool text_first = false;
  int biased_from = 0, biased_to = 1 << 24;  // with key_bias: the tokens that have one
  float hidden = 0.0f;                       // if below 0: that is the bias of all of them
};

HostAttention MakeProblem(const Case& c, std::uint64_t seed) {
  Random random(seed);
  HostAttention a;
  a.plan = c.block > 0 ? BlockPlan(random, c.shape, c.block, c.text, c.text_first, c.density,
                                   c.band, c.with_order)
                       : RandomPlan(random, c.shape, c.density, c.with_empty, c.with_order);
  a.head_dim = c.head_dim;
  a.layout = c.layout;
  a.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.head_dim)));
  a.dense = !ActionIsSparse(c.action);
  auto fill = [&](std::vector<float>& to, int tokens, double gain) {
    to.resize(static_cast<std::size_t>(c.shape.batch) * c.shape.heads * tokens * c.head_dim);
    for (float& x : to) x = RoundTo(c.type, static_cast<float>(random.Normal() * gain));
  };
  const int key_tokens = KeyTokens(c.shape);
  fill(a.q, c.shape.tokens, c.logit_gain);
  fill(a.k, key_tokens, c.logit_gain);
  fill(a.v, key_tokens, 1.0);
  if (c.key_bias || c.mask_all) {
    a.key_bias.resize(static_cast<std::size_t>(c.shape.batch) * key_tokens);
    for (std::size_t i = 0; i < a.key_bias.size(); ++i) {
      // The second batch's a little later.
      const int token = static_cast<int>(i % key_tokens - i / key_tokens * 11);
      const bool outside = token < c.biased_from || token >= c.biased_to;
      const bool masked = (c.mask_all && i < static_cast<std::size_t>(key_tokens)) ||
                          random.Below(5) == 0;
      a.key_bias[i] = outside          ? 0.0f
                      : c.hidden < 0.0f ? c.hidden
                      : masked ? -std::numeric_limits<float>::infinity()
                               : static_cast<float>(random.Below(3) - 1);
    }
  }
  if (c.compensate) FillMeans(a);
  return a;
}

void RunCase(const Case& c, AttentionPath path) {
  const HostAttention a = MakeProblem(c, std::hash<std::string>()(c.name));
  const PlanShape& s = a.plan.shape;
  const int heads = s.batch * s.heads;

  DeviceBuffer q(Encode(c.type, a.q)), k(Encode(c.type, a.k)), v(Encode(c.type, a.v));
  DeviceBuffer o(a.q.size() * SizeOf(c.type)), lse(static_cast<std::size_t>(heads) * s.tokens * 4);
  o.Fill(0xff);  // NaN in every type
  lse.Fill(0xff);
  DeviceBuffer query_order(a.plan.query_order), key_order(a.plan.key_order);
  DeviceBuffer query_offsets(a.plan.query_offsets), key_offsets(a.plan.key_offsets);
  DeviceBuffer keep(a.plan.keep), key_bias(a.key_bias), means_k(a.means_k), means_v(a.means_v);
  DeviceBuffer means_bias(a.means_bias);
  DeviceBuffer action(std::vector<std::int32_t>{c.action});

  BlockSparseAttentionArgs args;
  args.shape = s;
  args.head_dim = c.head_dim;
  args.type = c.type;
  args.layout = c.layout;
  args.scale = a.scale;
  args.q = q.data();
  args.k = k.data();
  args.v = v.data();
  args.o = o.data();
  args.lse = lse.As<float>();
  args.plan = {query_order.As<std::int32_t>(), key_order.As<std::int32_t>(),
               query_offsets.As<std::int32_t>(), key_offsets.As<std::int32_t>(),
               keep.As<std::int32_t>()};
  args.key_bias = key_bias.As<float>();
  args.means_k = means_k.As<float>();
  args.means_v = means_v.As<float>();
  // Without key_bias the kernel's own logarithm of the size is tested.
  if (!a.key_bias.empty()) args.means_bias = means_bias.As<float>();
  args.action = action.As<std::int32_t>();
  args.path = path;
  const std::size_t bytes =
      BlockSparseAttentionWorkspaceBytes(s, c.head_dim, c.type, c.compensate);
  DeviceBuffer workspace(bytes);
  workspace.Fill(0xff);
  CHECK(LaunchBlockSparseAttention(args, workspace.data(), bytes, nullptr) == Status::kOk);
  const cudaError_t error = cudaDeviceSynchronize();
  if (error != cudaSuccess) {
    std::printf("FAIL %s: %s\n", c.name.c_str(), cudaGetErrorString(error));
    std::exit(1);
  }
  const std::vector<float> out = Decode(c.type, o.Read());
  const std::vector<char> lse_bytes = lse.Read();
  const float* out_lse = reinterpret_cast<const float*>(lse_bytes.data());

  // All rows of small problems, every 16th (and a bit) of large ones.
  const int step = static_cast<double>(heads) * s.tokens * s.tokens > 3e7 ? 17 : 1;
  const int positions = (s.tokens + step - 1) / step;
  std::vector<double> error_sum(heads * positions), reference_sum(heads * positions),
      lse_error(heads * positions);
  ParallelFor(heads * positions, [&](int i) {
    const int bh = i / positions, position = i % positions * step;
    std::vector<double> row(c.head_dim);
    double row_lse = 0.0;
    const int token = AttentionRow(a, bh, position, row.data(), &row_lse);
    const float* got = out.data() + a.At(bh / s.heads, bh % s.heads, token);
    for (int d = 0; d < c.head_dim; ++d) {
      const double difference = std::abs(got[d] - row[d]);
      error_sum[i] += std::isfinite(got[d]) ? difference : 1e30;
      reference_sum[i] += std::abs(row[d]);
    }
    const float got_lse = out_lse[static_cast<std::int64_t>(bh) * s.tokens + token];
    lse_error[i] = got_lse == row_lse ? 0.0 : std::abs(got_lse - row_lse);
    if (!(lse_error[i] < 1e30)) lse_error[i] = 1e30;
  });
  const double total_error = std::accumulate(error_sum.begin(), error_sum.end(), 0.0);
  const double total = std::accumulate(reference_sum.begin(), reference_sum.end(), 0.0);
  const double relative = total > 0.0 ? total_error / total : total_error;
  const double worst_lse = *std::max_element(lse_error.begin(), lse_error.end());
  const double tolerance = c.type == DataType::kFloat32   ? 1e-5
                           : c.type == DataType::kFloat16 ? 2e-3
                                                          : 1e-2;
  const double lse_tolerance = c.compensate ? 3e-2 : 3e-4 * std::max(1.0, c.logit_gain);
  const bool pass = relative <= tolerance && worst_lse <= lse_tolerance;
  std::printf("%s %-44s %-8s rel L1 %.2e  LSE %.1e\n", pass ? "ok  " : "FAIL", c.name.c_str(),
              path == AttentionPath::kPortable ? "portable" : "auto", relative, worst_lse);
  if (!pass && step == 1) {
    int shown = 0;
    for (int i = 0; i < heads * positions && shown < 4; ++i) {
      if (error_sum[i] > tolerance * 5 * (reference_sum[i] + 1e-3)) {
        std::printf("     head %d position %d: error %.3g of %.3g\n", i / positions, i % positions,
                    error_sum[i], reference_sum[i]);
        ++shown;
      }
    }
  }
  CHECK(pass);
}

std::vector<Case> Cases(bool quick) {
  std::vector<Case> cases;
  auto add = [&](Case c) { cases.push_back(std::move(c)); };
  const DataType bf16 = DataType::kBFloat16, f16 = DataType::kFloat16;
  add({"dense action", {1, 2, 500, 3, 5}, 128, bf16, Layout::kBhsd, 0.3, 1.0, 0});
  add({"sparse", {1, 2, 777, 5, 17}, 128});
  add({"sparse, head dim 64", {1, 2, 777, 5, 17}, 64});
  add({"compensation", {1, 1, 600, 4, 40}, 128, bf16, Layout::kBhsd, 0.2, 1.0, 2, true, true,
       false, false, true});
  add({"key bias", {2, 1, 300, 3, 9}, 64, f16, Layout::kBshd, 0.5, 1.0, 3, true, true, true});
  add({"key bias and compensation", {2, 2, 300, 5, 60}, 128, bf16, Layout::kBshd, 0.2, 1.0, 2, true,
       true, true, false, true});
  const auto add_blocks = [&](std::string name, Case c, int block, double density, int band, int text,
                              bool text_first) {
    c.name = std::move(name);
    c.block = block, c.density = density, c.band = band, c.text = text, c.text_first = text_first;
    cases.push_back(std::move(c));
  };
  add_blocks("blocks", {"", {1, 2, 700}, 128}, 64, 0.3, -1, 0, false);
  add_blocks("bands", {"", {1, 2, 1900}, 128}, 128, 0, 3, 50, false);
  const auto add_biased = [&](std::string name, Case c, int from, int to) {
    c.name = std::move(name);
    c.key_bias = true, c.biased_from = from, c.biased_to = to;
    cases.push_back(std::move(c));
  };
  add_biased("bias of a few keys, dense",
             {"", {2, 1, 500, 3, 5}, 128, bf16, Layout::kBhsd, 0.3, 1.0, 0}, 310, 330);
  add_biased("bias of a few keys, natural order",
             {"", {2, 1, 500, 3, 12}, 64, f16, Layout::kBshd, 0.6, 1.0, 2, true, false}, 310, 330);
  // Keys of another number of tokens, as of text in cross-attention.
  const auto add_cross = [&](std::string name, Case c) {
    c.name = "cross-attention, " + std::move(name);
    c.biased_from = 60;
    cases.push_back(std::move(c));
  };
  add_cross("dense", {"", {2, 2, 700, 1, 1, 77}, 128, bf16, Layout::kBshd, 2.0, 1.0, 0});
  add_cross("dense, key bias",
            {"", {2, 2, 500, 1, 1, 150}, 64, f16, Layout::kBhsd, 2.0, 1.0, 0, false, false, true});
  add_cross("more keys than queries", {"", {2, 2, 90, 2, 9, 701}, 128, f16, Layout::kBshd, 0.5});
  // Large finite biases of whole tiles before any key without.
  for (const float hidden : {-1e4f, -1e9f, -1e20f, -std::numeric_limits<float>::max()}) {
    Case c{"finite bias", {1, 2, 500, 3, 9}, 128, f16, Layout::kBshd, 2.0, 1.0, 2, true, false};
    c.hidden = hidden;
    add_biased(c.name, c, 0, 300);
    c.action = 0, c.type = bf16;
    add_biased(c.name + ", dense", c, 0, 300);
  }
  add_blocks("blocks, bias, compensation",
             {"", {1, 1, 500}, 64, f16, Layout::kBshd, 0.3, 1.0, 2, false, true, true, false, true},
             64, 0.3, -1, 30, true);
  if (quick) return cases;

  for (DataType type : {bf16, f16}) {
    for (int dim : {64, 128}) {
      const std::string tag =
          std::string(type == bf16 ? "bf16" : "f16") + " D" + std::to_string(dim) + " ";
      for (int tokens : {1, 7, 63, 64, 65, 1000}) {
        add({tag + "S " + std::to_string(tokens), {1, 2, tokens, std::min(tokens, 6),
             std::min(tokens, 11)}, dim, type, Layout::kBhsd, 0.5, 1.0, 2, true});
      }
      for (Layout layout : {Layout::kBhsd, Layout::kBshd}) {
        const std::string name = tag + (layout == Layout::kBhsd ? "BHSD " : "BSHD ");
        add({name + "density 1", {2, 2, 700, 6, 21}, dim, type, layout, 2.0});
        add({name + "PLAN_DENSE", {2, 2, 700, 6, 21}, dim, type, layout, 0.2, 1.0, 1});
        add({name + "random plan", {2, 3, 1531, 9, 70}, dim, type, layout, 0.25, 1.0, 6, true});
        add({name + "natural order", {2, 2, 777, 9, 30}, dim, type, layout, 0.3, 1.0, 3, true,
             false});
        add({name + "key bias", {2, 2, 900, 9, 33}, dim, type, layout, 0.3, 1.0, 2, true, true,
             true});
        add({name + "key bias, dense", {2, 2, 555, 9, 33}, dim, type, layout, 0.3, 1.0, 0, true,
             true, true});
        add({name + "batch 0 masked", {2, 2, 400, 5, 13}, dim, type, layout, 0.4, 1.0, 2, false,
             true, true, true});
        add({name + "compensation", {2, 2, 1200, 9, 120}, dim, type, layout, 0.2, 1.0, 2, true,
             true, false, false, true});
        add({name + "compensation, nothing kept", {1, 2, 400, 5, 64}, dim, type, layout, 0.0, 1.0,
             2, true, true, false, false, true});
        add({name + "key bias and compensation", {2, 2, 1200, 9, 120}, dim, type, layout, 0.2, 1.0,
             3, true, true, true, false, true});
        add({name + "batch 0 masked, compensation", {2, 2, 400, 5, 64}, dim, type, layout, 0.2, 1.0,
             2, true, false, true, true, true});
        add({name + "large logits", {1, 2, 800, 7, 25}, dim, type, layout, 0.4, 6.0});
      }
      for (const int block : {64, 128, 16, 192}) {
        const std::string blocks = tag + "blocks of " + std::to_string(block);
        Case c{"", {1, 3, 1500}, dim, type, Layout::kBshd};
        add_blocks(blocks, c, block, 0.25, -1, 0, false);
        add_blocks(blocks + ", few kept", c, block, 0.03, -1, 0, false);
        add_blocks(blocks + ", all kept", c, block, 2.0, -1, 0, false);
        add_blocks(blocks + ", text first", c, block, 0.25, -1, 77, true);
        add_blocks(blocks + ", text last", c, block, 0.25, -1, 200, false);
        add_blocks(blocks + ", band", c, block, 0.0, 2, 0, false);
        c.with_order = false;
        add_blocks(blocks + ", natural order", c, block, 0.25, -1, 0, false);
        c.key_bias = true;
        add_blocks(blocks + ", key bias", c, block, 0.25, -1, 77, false);
        c.compensate = true;
        add_blocks(blocks + ", key bias and compensation", c, block, 0.25, -1, 77, false);
        c.key_bias = false;
        add_blocks(blocks + ", compensation", c, block, 0.1, -1, 77, true);
        c.with_order = true;
        add_blocks(blocks + ", orders and compensation", c, block, 0.1, -1, 0, true);
        c.compensate = false;
        c.shape = {2, 2, 9001};
        add_blocks(blocks + ", long band", c, block, 0.0, 1500 / block, 0, false);
        add_blocks(blocks + ", long", c, block, 0.2, -1, 226, true);
      }
      for (Layout layout : {Layout::kBhsd, Layout::kBshd}) {
        const std::string name = tag + (layout == Layout::kBhsd ? "BHSD " : "BSHD ");
        for (const int keys : {1, 64, 80, 333, 4001}) {
          Case c{"", {2, 3, 1001, 5, 7, keys}, dim, type, layout, 0.5, 1.0, 0};
          add_cross(name + std::to_string(keys) + " keys, dense", c);
          c.action = 2;
          add_cross(name + std::to_string(keys) + " keys", c);
          c.key_bias = c.compensate = true;
          add_cross(name + std::to_string(keys) + " keys, bias, compensation", c);
          c.compensate = c.with_order = false;
          add_cross(name + std::to_string(keys) + " keys, natural order, bias", c);
        }
      }
      for (const auto& [from, to] :
           {std::pair{0, 1}, {0, 90}, {700, 701}, {640, 800}, {1190, 1200}}) {
        const std::string biased =
            tag + "bias from " + std::to_string(from) + " to " + std::to_string(to);
        Case c{"", {2, 2, 1200, 9, 33}, dim, type, Layout::kBshd, 0.4, 1.0, 0, true, false};
        add_biased(biased + ", dense", c, from, to);
        c.action = 2;
        add_biased(biased + ", natural order", c, from, to);
        c.compensate = true;
        add_biased(biased + ", natural order, compensation", c, from, to);
        c.with_order = true;
        add_biased(biased + ", compensation", c, from, to);
        c.compensate = false;
        add_biased(biased, c, from, to);
        for (const int block : {64, 128}) {
          Case b{"", {2, 2, 1200}, dim, type, Layout::kBhsd};
          b.with_order = false, b.block = block, b.text = 70, b.density = 0.3;
          add_biased(biased + ", blocks of " + std::to_string(block), b, from, to);
          b.band = 7, b.compensate = true;
          add_biased(biased + ", band of " + std::to_string(block) + ", compensation", b, from, to);
        }
      }
      add({tag + "nothing kept", {1, 2, 300, 5, 40}, dim, type, Layout::kBhsd, 0.0});
      add({tag + "sparse rows, some empty", {1, 4, 640, 12, 40}, dim, type, Layout::kBhsd, 0.02});
      add({tag + "one giant segment", {1, 2, 1900, 1, 1}, dim, type, Layout::kBhsd, 2.0});
      add({tag + "segments of one or none", {1, 1, 300, 280, 290}, dim, type, Layout::kBhsd, 0.3,
           1.0, 2, true});
      add({tag + "segments of one, bias, compensation", {1, 1, 300, 280, 290}, dim, type,
           Layout::kBhsd, 0.3, 1.0, 2, true, true, true, false, true});
      add({tag + "many heads", {1, 40, 1283, 6, 40}, dim, type, Layout::kBshd, 0.25, 1.0, 2});
      add({tag + "long", {1, 3, 9001, 37, 130}, dim, type, Layout::kBhsd, 0.25, 1.0, 2});
    }
  }
  return cases;
}

// The same launch captured in a graph and replayed a hundred times, the action changed in between.
void TestGraph(const Case& c) {
  HostAttention a = MakeProblem(c, 5);
  const PlanShape& s = a.plan.shape;
  DeviceBuffer q(Encode(c.type, a.q)), k(Encode(c.type, a.k)), v(Encode(c.type, a.v));
  DeviceBuffer o(a.q.size() * 2);
  DeviceBuffer query_order(a.plan.query_order), key_order(a.plan.key_order);
  DeviceBuffer query_offsets(a.plan.query_offsets), key_offsets(a.plan.key_offsets);
  DeviceBuffer keep(a.plan.keep);
  DeviceBuffer action(std::vector<std::int32_t>{2});
  BlockSparseAttentionArgs args;
  args.shape = s;
  args.head_dim = c.head_dim;
  args.scale = a.scale;
  args.q = q.data(), args.k = k.data(), args.v = v.data(), args.o = o.data();
  args.plan = {query_order.As<std::int32_t>(), key_order.As<std::int32_t>(),
               query_offsets.As<std::int32_t>(), key_offsets.As<std::int32_t>(),
               keep.As<std::int32_t>()};
  args.action = action.As<std::int32_t>();
  const std::size_t bytes = BlockSparseAttentionWorkspaceBytes(s, 128, c.type, false);
  DeviceBuffer workspace(bytes);
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  std::vector<char> expected[2];
  for (std::int32_t code : {0, 2}) {
    cudaMemcpy(action.data(), &code, 4, cudaMemcpyHostToDevice);
    CHECK(LaunchBlockSparseAttention(args, workspace.data(), bytes, stream) == Status::kOk);
    cudaStreamSynchronize(stream);
    expected[code / 2] = o.Read();
  }
  CHECK(expected[0] != expected[1]);
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
  CHECK(LaunchBlockSparseAttention(args, workspace.data(), bytes, stream) == Status::kOk);
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  CHECK(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
  int equal = 0;
  for (int replay = 0; replay < 100; ++replay) {
    const std::int32_t code = replay % 2 * 2;
    o.Fill(0xff);
    cudaMemcpy(action.data(), &code, 4, cudaMemcpyHostToDevice);
    cudaGraphLaunch(executable, stream);
    cudaStreamSynchronize(stream);
    equal += o.Read() == expected[code / 2];
  }
  std::printf("%s %s: %d of 100 replays bitwise equal\n", equal == 100 ? "ok  " : "FAIL",
              c.name.c_str(), equal);
  CHECK(equal == 100);
}

int Main(int argc, char** argv) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("no GPU: skipped\n");
    return kSkipped;
  }
  const bool quick = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  for (const Case& c : Cases(quick)) RunCase(c, AttentionPath::kAuto);
  if (!quick) {
    Case blocks{"graph, blocks", {1, 4, 2000}, 128};
    blocks.block = 64;
    TestGraph({"graph", {1, 4, 2000, 8, 30}, 128});
    TestGraph(blocks);
  }
  for (Case c : Cases(true)) {
    RunCase(c, AttentionPath::kPortable);
    for (int dim = 32; dim <= 128 && !quick; dim += 16) {
      c.head_dim = dim;
      c.type = DataType::kFloat32;
      RunCase(c, AttentionPath::kPortable);
    }
  }
  return Report("attention_test");
}

}  // namespace
}  // namespace sparsedit::test

int main(int argc, char** argv) { return sparsedit::test::Main(argc, argv); }
