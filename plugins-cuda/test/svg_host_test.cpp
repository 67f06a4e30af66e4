// Host tests of SVG's planning: argument checks, workspace sizes, and what can be worked out by hand
// of orders, sampled rows, bands and plans.
#include <limits>

#include "test/check.h"
#include "test/svg_reference.h"

namespace sparsedit::test {
namespace {

HeadClassesProblem SomeClasses() {
  HeadClassesProblem p;
  p.batch = 1, p.heads = 2, p.tokens = 1000, p.head_dim = 64, p.scale = .125f;
  return p;
}

template <typename Change>
Status ClassesWith(Change change) {
  HeadClassesProblem p = SomeClasses();
  change(p);
  return CheckHeadClasses(p);
}

BandPlanProblem SomeBand() {
  BandPlanProblem p;
  p.batch = 1, p.heads = 2, p.tokens = 1000, p.density = .3f;
  return p;
}

template <typename Change>
Status BandWith(Change change) {
  BandPlanProblem p = SomeBand();
  change(p);
  return CheckBandPlan(p);
}

void TestArguments() {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(CheckHeadClasses(HeadClassesProblem()) == Status::kInvalidArgument);
  CHECK(ClassesWith([](auto&) {}) == Status::kOk);
  CHECK(ClassesWith([](auto& p) { p.sampled_rows = 0; }) == Status::kInvalidArgument);
  CHECK(ClassesWith([](auto& p) { p.block_size = 0; }) == Status::kInvalidArgument);
  CHECK(ClassesWith([](auto& p) { p.scale = 0; }) == Status::kInvalidArgument);
  CHECK(ClassesWith([&](auto& p) { p.scale = nan; }) == Status::kInvalidArgument);
  CHECK(ClassesWith([&](auto& p) { p.profile_frames = nan; }) == Status::kInvalidArgument);
  CHECK(ClassesWith([](auto& p) { p.head_dim = 24; }) == Status::kUnsupported);
  CHECK(ClassesWith([](auto& p) { p.head_dim = 144; }) == Status::kUnsupported);
  CHECK(ClassesWith([](auto& p) { p.sampled_rows = kMaxSampledRows + 1; }) ==
        Status::kUnsupported);
  for (int dim = 32; dim <= 128; dim += 16) {
    CHECK(ClassesWith([&](auto& p) { p.head_dim = dim; }) == Status::kOk);
  }
  CHECK(CheckBandPlan(BandPlanProblem()) == Status::kInvalidArgument);
  CHECK(BandWith([](auto&) {}) == Status::kOk);
  CHECK(BandWith([](auto& p) { p.density = 0; }) == Status::kInvalidArgument);
  CHECK(BandWith([&](auto& p) { p.density = nan; }) == Status::kInvalidArgument);
  CHECK(BandWith([](auto& p) { p.block_size = 0; }) == Status::kInvalidArgument);
  CHECK(BandWith([](auto& p) { p.tokens = 70000, p.block_size = 1; }) == Status::kUnsupported);
  CHECK(BandPlanWorkspaceSize(SomeBand()) > 0 && BandPlanWorkspaceSize(BandPlanProblem()) == 0);
}

void TestTokens() {
  const std::int32_t geometry[] = {3, 2, 2};
  for (const TextPosition text :
       {TextPosition::kNone, TextPosition::kFirst, TextPosition::kLast}) {
    const int texts = text == TextPosition::kNone ? 0 : 5;
    const VideoTokens v = SplitTokens(geometry, text, 12 + texts);
    CHECK(v.frames == 3 && v.per_frame == 4 && v.count == 12 && v.text == texts);
    CHECK(v.start == (text == TextPosition::kFirst ? 5 : 0));
    for (const bool temporal : {false, true}) {
      const std::vector<int> order =
          OrderOfClass({3, 2, 2, texts, text}, temporal);
      for (int i = 0; i < 12; ++i) {
        CHECK(v.Token(i, temporal) == order[i] && v.Position(order[i], temporal) == i);
      }
    }
  }
  // Frame 1, patch 3 is token 7: in token-major order after three patches of three frames.
  CHECK(SplitTokens(geometry, TextPosition::kNone, 12).Position(7, true) == 10);
  // What does not fit is one frame.
  const std::int32_t odd[][3] = {{3, 2, 3}, {0, 2, 2},          {-3, -2, 2},
                                 {1, 1, 1}, {1 << 30, 1 << 30, 1 << 30}};
  for (const auto& g : odd) {
    const VideoTokens v = SplitTokens(g, TextPosition::kNone, 12);
    CHECK(v.frames == 1 && v.per_frame == 12 && v.count == 12 && v.text == 0);
  }
  CHECK(SplitTokens(odd[3], TextPosition::kLast, 12).text == 11);

  CHECK(SampledToken(0, 64, 75600) == 590 && SampledToken(63, 64, 75600) == 75009);
  CHECK(SampledToken(0, 5, 2) == 0 && SampledToken(4, 5, 2) == 1);
  CHECK(ProfileReach(2, 3600, 128) == 56 && ProfileReach(1.5f, 1350, 128) == 15);
  CHECK(ProfileReach(.1f, 30, 128) == 1 && ProfileReach(1e30f, 3600, 128) == 1 << 24);
}

// Bands of the models in the published code.
void TestBands() {
  const struct {
    Clip clip;
    float density;
    int blocks;
  } cases[] = {{{21, 45, 80, 0, TextPosition::kNone}, .3f, 97},
               {{33, 45, 80, 256, TextPosition::kLast}, .25f, 122},
               {{11, 48, 85, 226, TextPosition::kFirst}, .25f, 45}};
  for (const auto& c : cases) {
    BandPlanProblem p = SomeBand();
    p.tokens = c.clip.tokens(), p.text = c.clip.position, p.density = c.density;
    const std::int32_t geometry[] = {c.clip.frames, c.clip.height, c.clip.width};
    const BandBlocks blocks(p, geometry);
    CHECK(PublishedBandBlocks(blocks, p.density, p.text, p.tokens) == c.blocks);
    CHECK(PublishedBandBlocks(blocks, 1.5f, p.text, p.tokens) >= blocks.count - 1);
  }
  CHECK(PairsInBudget(10, .25f) == 25 && PairsInBudget(10, 1e30f) > 1e18);
}

// Two frames of two patches in blocks of one token, sink and text.
void TestPlanReference() {
  BandPlanProblem p = SomeBand();
  p.block_size = 1, p.density = .5f, p.budget = true;
  const Clip clip = {2, 1, 2, 1, TextPosition::kLast};
  p.tokens = clip.tokens(), p.text = clip.position;
  const ReferencePlan plan = PlanOfClass(p, clip, true, false);
  // Of 16 pairs 8 are in the budget: the diagonal is 4, with its neighbours 10.
  CHECK(plan.band == 0);
  CHECK((plan.query_order == std::vector<int>{0, 2, 1, 3, 4}));
  CHECK((plan.query_offsets == std::vector<int>{0, 1, 2, 3, 4, 4, 5}));
  CHECK((plan.keep[1] == std::vector<bool>{0, 1, 0, 0, 0, 1}));
  CHECK((plan.keep[4] == std::vector<bool>{0, 0, 0, 0, 0, 1}));
  CHECK((plan.keep[5] == std::vector<bool>(6, true)));
  p.sink = FrameSink::kCorrected, p.density = .8f;
  const ReferencePlan corrected = PlanOfClass(p, clip, true, false);
  CHECK((corrected.key_order == std::vector<int>{0, 1, 2, 3, 4}));
  CHECK((corrected.key_offsets == std::vector<int>{0, 2, 2, 3, 3, 4, 4, 5}));
  // The sink is 8 pairs; keys are at positions 1 and 3: 2 more with m = 0, 5 more with m = 1.
  CHECK(corrected.band == 0);
  p.density = .82f;
  CHECK(PlanOfClass(p, clip, true, false).band == 1);
}

}  // namespace
}  // namespace sparsedit::test

int main() {
  using namespace sparsedit::test;
  TestArguments();
  TestTokens();
  TestBands();
  TestPlanReference();
  return Report("svg_host_test");
}
