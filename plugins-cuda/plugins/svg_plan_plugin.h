// SvgPlan: the planner of SVG (Sparse VideoGen, arXiv 2502.01776) as a TensorRT plugin.
//
//   q, k, v, geometry[, key_bias][, head_classes], action
//   -> query_order, key_order, query_offsets, key_offsets, keep[, next_head_classes]
//
// head_classes and next_head_classes are there if plan_state is 1: a step that does not plan passes
// the classes through and makes their plan again. Without them such a step keeps everything, in the
// natural order.
#ifndef SPARSEDIT_PLUGINS_SVG_PLAN_PLUGIN_H_
#define SPARSEDIT_PLUGINS_SVG_PLAN_PLUGIN_H_

#include "plugins/plugin.h"

namespace sparsedit::plugins {

struct SvgPlanOp {
  static constexpr const char* kName = "SvgPlan";
  static constexpr const char* kTakes =
      "5 inputs, one more with key_bias and one more where plan_state is 1,";

  struct Settings {
    int site = 0;
    Layout layout = Layout::kBhsd;
    float scale = 1.0f;
    int block_size = 128;
    float density = 0.3f;
    int budget = 0;
    int sampled_rows = 64;
    float profile_frames = 2.0f;
    FrameSink sink = FrameSink::kNone;
    TextPosition text = TextPosition::kNone;
    int plan_state = 0;
    int inputs = 0;  // not an attribute of the node: stored in the engine; 0 until it is known

    template <typename Self, typename Visit>
    static void VisitFields(Self& self, Visit&& visit) {
      visit("site", self.site, Needed::kYes);
      visit("layout", self.layout, Needed::kYes);
      visit("scale", self.scale, Needed::kYes);
      visit("block_size", self.block_size, Needed::kYes);
      visit("density", self.density, Needed::kYes);
      visit("budget", self.budget, Needed::kYes);
      visit("sampled_rows", self.sampled_rows, Needed::kYes);
      visit("profile_frames", self.profile_frames, Needed::kYes);
      visit("frame_sink", self.sink, Needed::kYes);
      visit("text_position", self.text, Needed::kYes);
      visit("plan_state", self.plan_state, Needed::kYes);
      visit("inputs", self.inputs, Needed::kNo);
    }
    const char* Check() const;
  };

  static int OutputCount(const Settings& settings) { return settings.plan_state == 1 ? 6 : 5; }
  static bool MakeSignature(const Settings& settings, int inputs, Signature* signature);
  static std::string Check(const Settings& settings, int inputs, const Extents& extents);
  static Status CheckSupport(const Settings& settings, const Extents& extents, DataType type);
  static std::size_t WorkspaceSize(const Settings& settings, const Extents& extents, DataType type);
  static Status Enqueue(const Settings& settings, const Call& call);
};

}  // namespace sparsedit::plugins

#endif  // SPARSEDIT_PLUGINS_SVG_PLAN_PLUGIN_H_
