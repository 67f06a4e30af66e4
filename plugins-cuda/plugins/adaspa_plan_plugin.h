// AdaSpaPlan: the planner of AdaSpa (arXiv 2502.21079) as a TensorRT plugin.
//
//   q, k, geometry[, key_bias], lse[, last_keep], action
//   -> query_order, key_order, query_offsets, key_offsets, keep, next_lse
//
// The orders have no elements: blocks are in natural order. A step that does not plan passes LSE
// through, and the last keep where it is an input; where it is not, everything is kept.
#ifndef SPARSEDIT_PLUGINS_ADASPA_PLAN_PLUGIN_H_
#define SPARSEDIT_PLUGINS_ADASPA_PLAN_PLUGIN_H_

#include "plugins/plugin.h"

namespace sparsedit::plugins {

struct AdaSpaPlanOp {
  static constexpr const char* kName = "AdaSpaPlan";
  static constexpr const char* kTakes =
      "5 inputs, one more with key_bias and one more where plan_state is 1,";
  struct Settings {
    int site = 0;
    Layout layout = Layout::kBhsd;
    float scale = 1.0f;
    int block_size = 64;
    float density = 0.2f;
    float recall_threshold = 0.8f;
    TextPosition text = TextPosition::kNone;
    int plan_state = 0;  // 1: last_keep is an input
    int inputs = 0;  // not an attribute of the node: stored in the engine; 0 until it is known

    template <typename Self, typename Visit>
    static void VisitFields(Self& self, Visit&& visit) {
      visit("site", self.site, Needed::kYes);
      visit("layout", self.layout, Needed::kYes);
      visit("scale", self.scale, Needed::kYes);
      visit("block_size", self.block_size, Needed::kYes);
      visit("density", self.density, Needed::kYes);
      visit("recall_threshold", self.recall_threshold, Needed::kYes);
      visit("text_position", self.text, Needed::kYes);
      visit("plan_state", self.plan_state, Needed::kYes);
      visit("inputs", self.inputs, Needed::kNo);
    }
    const char* Check() const;
  };

  static int OutputCount(const Settings&) { return 6; }
  static bool MakeSignature(const Settings& settings, int inputs, Signature* signature);
  static std::string Check(const Settings& settings, int inputs, const Extents& extents);
  static Status CheckSupport(const Settings& settings, const Extents& extents, DataType type);
  static std::size_t WorkspaceSize(const Settings& settings, const Extents& extents, DataType type);
  static Status Enqueue(const Settings& settings, const Call& call);
};

}  // namespace sparsedit::plugins

#endif  // SPARSEDIT_PLUGINS_ADASPA_PLAN_PLUGIN_H_
