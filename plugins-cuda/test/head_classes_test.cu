// Classes of heads against float64 on the CPU: both sums of errors on random data of every kind,
// and the classes of heads that were made spatial or temporal.
//
//   head_classes_test [--quick]      --quick: a few small cases, for compute-sanitizer
#include <cstring>
#include <string>

#include "test/check.h"
#include "test/device_array.h"
#include "test/svg_reference.h"

namespace sparsedit::test {
namespace {

enum class Data { kRandom, kPlanted, kAlike };
enum class Bias { kNone, kTextPadding, kAnything, kAllOfOne };

// In heads of odd number tokens depend on their patch, in the others on their frame: so attention
// stays within the tokens of a patch or a frame.
bool IsTemporal(int bh) { return bh % 2 == 1; }

HostSite MakeSite(const HeadClassesProblem& problem, const Clip& clip, Data data, Bias bias,
                  float spread) {
  HostSite site = {problem, clip, {}, {}, {}, {}};
  HeadClassesProblem& p = site.p;
  p.tokens = clip.tokens(), p.text = clip.position;
  Random random(17 + p.head_dim + p.tokens);
  const std::size_t count = static_cast<std::size_t>(p.batch) * p.heads * p.tokens * p.head_dim;
  for (std::vector<float>* x : {&site.q, &site.k, &site.v}) {
    x->resize(count);
    for (float& value : *x) {
      value = RoundTo(p.type, static_cast<float>(random.Normal()) * (x == &site.q ? spread : 1));
    }
  }
  // Then all outputs are equal, whatever is seen, but for rounding.
  if (data == Data::kAlike) {
    for (std::size_t i = 0; i < count; ++i) {
      site.v[i] = RoundTo(p.type, 3.f + std::sin(static_cast<float>(i % p.head_dim)));
    }
  }
  if (data == Data::kPlanted) {
    for (int bh = 0; bh < p.batch * p.heads; ++bh) {
      std::vector<float> of_patch(static_cast<std::size_t>(clip.per_frame()) * p.head_dim);
      std::vector<float> of_frame(static_cast<std::size_t>(clip.frames) * p.head_dim);
      for (float& x : of_patch) x = 3 * static_cast<float>(random.Normal());
      for (float& x : of_frame) x = 3 * static_cast<float>(random.Normal());
      for (int t = 0; t < clip.video(); ++t) {
        const std::int64_t at = site.At(bh / p.heads, bh % p.heads, clip.start() + t);
        const float* base = IsTemporal(bh) ? &of_patch[t % clip.per_frame() * p.head_dim]
                                           : &of_frame[t / clip.per_frame() * p.head_dim];
        for (int d = 0; d < p.head_dim; ++d) site.q[at + d] = site.k[at + d] = RoundTo(p.type, base[d]);
      }
    }
  }
  if (bias != Bias::kNone) site.key_bias.resize(static_cast<std::size_t>(p.batch) * p.tokens);
  for (std::size_t i = 0; i < site.key_bias.size(); ++i) {
    const int b = static_cast<int>(i / p.tokens), t = static_cast<int>(i % p.tokens);
    const bool hidden = bias == Bias::kAllOfOne       ? b == 0
                        : bias == Bias::kTextPadding ? clip.IsText(t) && t % 7 > b
                                                     : random.Below(4) == 0;
    if (hidden) {
      site.key_bias[i] = -INFINITY;
    } else if (bias == Bias::kAnything) {
      site.key_bias[i] = static_cast<float>(random.Below(5) - 2);
    }
  }
  return site;
}

// The device's memory of a site and of its results.
struct DeviceSite {
  DeviceArray<char> q, k, v, workspace;
  DeviceArray<float> key_bias, errors;
  DeviceArray<std::int32_t> geometry, action, classes;
  HeadClassesBuffers b;

  explicit DeviceSite(const HostSite& site)
      : q(Encode(site.p.type, site.q)),
        k(Encode(site.p.type, site.k)),
        v(Encode(site.p.type, site.v)),
        workspace(HeadClassesWorkspaceSize(site.p)),
        key_bias(site.key_bias),
        errors(static_cast<std::size_t>(site.p.batch) * site.p.heads * 2),
        geometry(std::vector<std::int32_t>{site.clip.frames, site.clip.height, site.clip.width}),
        action(std::vector<std::int32_t>{2}),
        classes(static_cast<std::size_t>(site.p.batch) * site.p.heads) {
    b.q = q.get();
    b.k = k.get();
    b.v = v.get();
    b.geometry = geometry.get();
    b.key_bias = site.key_bias.empty() ? nullptr : key_bias.get();
    b.action = action.get();
    b.classes = classes.get();
    b.errors = errors.get();
  }
  Status Launch(const HeadClassesProblem& p, cudaStream_t stream = nullptr) {
    errors.Poison();
    classes.Poison();
    workspace.Poison();
    return LaunchHeadClasses(p, b, workspace.get(), workspace.size(), stream);
  }
};

void TestCase(const std::string& name, const HeadClassesProblem& problem, const Clip& clip,
              Data data = Data::kRandom, Bias bias = Bias::kNone, float spread = 1.f) {
  HostSite site = MakeSite(problem, clip, data, bias, spread);
  HeadClassesProblem& p = site.p;
  DeviceSite device(site);
  std::vector<ProfileErrors> expected;
  for (int bh = 0; bh < p.batch * p.heads; ++bh) {
    expected.push_back(ErrorsOf(site, bh / p.heads, bh % p.heads));
  }
  // Outputs are about as large as the values, 1; probabilities are rounded to the type of v.
  const double rounding = p.type == DataType::kBFloat16   ? 3e-3
                          : p.type == DataType::kFloat16 ? 6e-4
                                                         : 1e-5;
  const double elements = static_cast<double>(p.sampled_rows) * p.head_dim;
  for (const HeadClassesPath path : {HeadClassesPath::kAuto, HeadClassesPath::kPortable}) {
    p.path = path;
    const double off = path == HeadClassesPath::kPortable ? 1e-5 : rounding;
    CHECK(device.Launch(p) == Status::kOk);
    CUDA_OK(cudaDeviceSynchronize());
    const std::vector<float> errors = device.errors.Get();
    const std::vector<std::int32_t> classes = device.classes.Get();
    double worst = 0;  // over what is allowed
    int wrong = 0, clear = 0;
    for (std::size_t bh = 0; bh < expected.size(); ++bh) {
      const double reference[] = {expected[bh].spatial, expected[bh].temporal};
      double allowed[2];
      for (int c = 0; c < 2; ++c) {
        // Of a norm |d| with elements off by `off`: (|d| + off sqrt(n))^2 - |d|^2.
        const double slack = off * std::sqrt(elements);
        allowed[c] = slack * (2 * std::sqrt(reference[c]) + slack);
        const double error = std::abs(errors[2 * bh + c] - reference[c]) / allowed[c];
        worst = std::isnan(error) ? INFINITY : std::max(worst, error);
      }
      const bool temporal = expected[bh].IsTemporal();
      if (std::abs(reference[1] - reference[0]) > allowed[0] + allowed[1] ||
          (reference[0] == 0 && reference[1] == 0)) {
        ++clear;
        wrong += classes[bh] != (temporal ? 1 : 0);
      }
      if (data == Data::kPlanted) wrong += temporal != IsTemporal(static_cast<int>(bh));
      // In f32 rounding is below the slack.
      if (data == Data::kAlike && (p.type == DataType::kFloat32 || path == HeadClassesPath::kPortable)) {
        wrong += classes[bh] != 0;
      }
    }
    const bool good = worst <= 1 && wrong == 0;
    CHECK(good);
    if (data == Data::kPlanted) CHECK(clear == static_cast<int>(expected.size()));
    std::printf("%s %-44s %s errors %.3g %.3g, off %.3f of what is allowed, %d of %zu clear\n",
                good ? "ok  " : "FAIL", name.c_str(),
                path == HeadClassesPath::kAuto ? "auto    " : "portable", errors[0], errors[1],
                worst, clear, expected.size());
  }
}

HeadClassesProblem Problem(DataType type, int head_dim, Layout layout, FrameSink sink) {
  HeadClassesProblem p;
  p.batch = 1, p.heads = 2, p.head_dim = head_dim, p.type = type, p.layout = layout, p.sink = sink;
  p.scale = 1.f / std::sqrt(static_cast<float>(head_dim));
  return p;
}

// Steps that do not plan, and an action of another code.
void TestActions() {
  const Clip clip = {4, 6, 8, 11, TextPosition::kFirst};
  HostSite site = MakeSite(Problem(DataType::kBFloat16, 64, Layout::kBhsd, FrameSink::kNone), clip,
                           Data::kRandom, Bias::kNone, 1.f);
  site.p.batch = 1, site.p.heads = 4;
  HostSite wide = MakeSite(site.p, clip, Data::kPlanted, Bias::kNone, 1.f);
  DeviceSite device(wide);
  DeviceArray<std::int32_t> last(std::vector<std::int32_t>{1, 0, 5, -1});
  for (const int action : {1, 2, 5, 6}) {
    device.action.Set({action});
    device.b.last_classes = action == 2 ? last.get() : nullptr;
    CHECK(device.Launch(wide.p) == Status::kOk);
    CHECK((device.classes.Get() == std::vector<std::int32_t>{0, 1, 0, 1}));
  }
  for (const int action : {0, 3, 4, 7}) {
    device.action.Set({action});
    device.b.last_classes = last.get();
    CHECK(device.Launch(wide.p) == Status::kOk);
    CHECK((device.classes.Get() == std::vector<std::int32_t>{1, 0, 0, 0}));
    device.b.last_classes = nullptr;
    CHECK(device.Launch(wide.p) == Status::kOk);
    CHECK((device.classes.Get() == std::vector<std::int32_t>(4, kNoHeadClass)));
  }
}

void TestGraph() {
  const Clip clip = {6, 20, 20, 33, TextPosition::kLast};
  HeadClassesProblem problem = Problem(DataType::kBFloat16, 128, Layout::kBshd, FrameSink::kNone);
  problem.heads = 5;
  const HostSite site = MakeSite(problem, clip, Data::kRandom, Bias::kTextPadding, 2.f);
  DeviceSite device(site);
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  CUDA_OK(cudaStreamCreate(&stream));
  CUDA_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  CHECK(LaunchHeadClasses(site.p, device.b, device.workspace.get(), device.workspace.size(),
                          stream) == Status::kOk);
  CUDA_OK(cudaStreamEndCapture(stream, &graph));
  CUDA_OK(cudaGraphInstantiate(&exec, graph, 0));
  std::vector<float> first;
  int different = 0;
  for (int i = 0; i < 100; ++i) {
    device.errors.Poison();
    device.workspace.Poison(i % 2 == 0 ? 0xff : 0x33);
    CUDA_OK(cudaGraphLaunch(exec, stream));
    CUDA_OK(cudaStreamSynchronize(stream));
    if (i == 0) first = device.errors.Get();
    different += !SameBytes(first, device.errors.Get());
  }
  CHECK(different == 0);
  CUDA_OK(cudaGraphExecDestroy(exec));
  CUDA_OK(cudaGraphDestroy(graph));
  CUDA_OK(cudaStreamDestroy(stream));
}

void TestArguments() {
  HeadClassesProblem p;
  CHECK(LaunchHeadClasses(p, {}, nullptr, 0, nullptr) == Status::kInvalidArgument);
  p.batch = p.heads = 1, p.tokens = 100, p.head_dim = 64, p.scale = 1;
  CHECK(LaunchHeadClasses(p, {}, nullptr, 0, nullptr) == Status::kInvalidArgument);
  alignas(1024) static std::int32_t memory[1024];
  HeadClassesBuffers b;
  b.q = b.k = b.v = memory;
  b.geometry = b.action = memory;
  b.classes = memory;
  CHECK(LaunchHeadClasses(p, b, nullptr, 0, nullptr) == Status::kInvalidArgument);
  CHECK(LaunchHeadClasses(p, b, memory, 64, nullptr) == Status::kWorkspaceTooSmall);
  b.k = reinterpret_cast<char*>(memory) + 8;
  CHECK(LaunchHeadClasses(p, b, memory, 64, nullptr) == Status::kInvalidArgument);
}

}  // namespace
}  // namespace sparsedit::test

int main(int argc, char** argv) {
  using namespace sparsedit;
  using namespace sparsedit::test;
  TestArguments();
  if (!HasGpu()) {
    std::printf("no GPU: skipped\n");
    return Report("head_classes_test") == 0 ? kSkipped : 1;
  }
  const bool reduced = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  const DataType types[] = {DataType::kBFloat16, DataType::kFloat16, DataType::kFloat32};
  const char* const type_names[] = {"f16", "bf16", "f32"};
  const FrameSink sinks[] = {FrameSink::kNone, FrameSink::kPublished, FrameSink::kCorrected};
  int i = 0;
  for (const int dim : reduced ? std::vector<int>{64, 128}
                               : std::vector<int>{32, 48, 64, 80, 96, 112, 128, 64, 128, 64, 128}) {
    for (const DataType type : types) {
      for (const TextPosition text :
           {TextPosition::kNone, TextPosition::kFirst, TextPosition::kLast}) {
        if (reduced && i % 3 != 0) {
          ++i;
          continue;
        }
        const Clip clip = {3 + i % 4, 7, 9 + i % 5, text == TextPosition::kNone ? 0 : 13 + i, text};
        HeadClassesProblem p = Problem(type, dim, i % 2 == 0 ? Layout::kBhsd : Layout::kBshd, sinks[i % 3 == 0 ? 1 : i / 3 % 3]);
        p.batch = 1 + i % 2, p.heads = 1 + i % 3;
        p.block_size = i % 4 == 0 ? 128 : i % 4 == 1 ? 16 : 32;
        p.profile_frames = i % 5 == 0 ? .5f : i % 5 == 1 ? 1.5f : 1.f;
        p.sampled_rows = reduced ? 20 : i % 6 == 0 ? 5 : i % 6 == 1 ? 100 : i % 6 == 2 ? 1 : 64;
        const Bias bias = i % 4 == 1 ? Bias::kAnything : i % 4 == 2 ? Bias::kTextPadding : Bias::kNone;
        const float spread = i % 5 == 4 ? 30.f : 1.f + i % 3;
        TestCase(std::string(type_names[static_cast<int>(type)]) + " D" + std::to_string(dim) +
                     " S" + std::to_string(clip.tokens()) + " text " +
                     std::to_string(static_cast<int>(text)) + " sink " +
                     std::to_string(static_cast<int>(p.sink)) + " R" +
                     std::to_string(p.sampled_rows) + " bias " +
                     std::to_string(static_cast<int>(bias)) + " spread " +
                     std::to_string(static_cast<int>(spread)),
                 p, clip, Data::kRandom, bias, spread);
        ++i;
      }
    }
  }
  if (!reduced) {
    const Clip large = {9, 24, 30, 226, TextPosition::kFirst};
    for (const DataType type : types) {
      for (const int dim : {64, 128}) {
        HeadClassesProblem p = Problem(type, dim, Layout::kBshd, FrameSink::kNone);
        p.batch = 2, p.heads = 3;
        p.profile_frames = 1;
        const std::string of = std::string(type_names[static_cast<int>(type)]) + " D" + std::to_string(dim);
        TestCase("many workers a head " + of, p, large, Data::kRandom, Bias::kAnything, 2.f);
        TestCase("planted " + of, p, large, Data::kPlanted, Bias::kTextPadding);
        p.sink = FrameSink::kCorrected;
        TestCase("planted, corrected sink " + of, p, large, Data::kPlanted);
        TestCase("all masked " + of, p, {3, 5, 7, 20, TextPosition::kLast}, Data::kRandom,
                 Bias::kAllOfOne);
        TestCase("values alike " + of, p, large, Data::kAlike, Bias::kAnything);
        p.profile_frames = 100;  // both classes see everything
        TestCase("everything seen " + of, p, {3, 5, 7, 0, TextPosition::kNone});
      }
    }
    TestActions();
    TestGraph();
  }
  return Report("head_classes_test");
}
