// QkNormRope: the norm and the rotary position embedding of Q and K as a TensorRT plugin.
//
//   q [, k] [, q_weight] [, q_bias] [, k_weight] [, k_bias] [, cos, sin] -> q_out [, k_out]
//
// `tensors`, `weight`, `bias` and `rope` say which there are: all four are attributes of the node.
// Shapes and arithmetic are those of kernels/qk_norm_rope.h.
#ifndef SPARSEDIT_PLUGINS_QK_NORM_ROPE_PLUGIN_H_
#define SPARSEDIT_PLUGINS_QK_NORM_ROPE_PLUGIN_H_

#include "plugins/plugin.h"

namespace sparsedit::plugins {

struct QkNormRopeOp {
  static constexpr const char* kName = "QkNormRope";
  static constexpr const char* kTakes =
      "q, with two tensors k, what weight and bias announce, and with a rope cos and sin";

  struct Settings {
    int site = 0;
    Layout layout = Layout::kBshd;
    Layout output_layout = Layout::kBshd;
    int tensors = 2;
    NormKind norm = NormKind::kNone;
    NormScope scope = NormScope::kHead;
    float epsilon = 0.0f;
    float root_epsilon = 0.0f;
    float root_floor = 0.0f;
    int weight = 0;
    int bias = 0;
    RopeForm rope = RopeForm::kNone;
    RotatedTokens rotated = RotatedTokens::kAll;
    int rotary_start = 0;
    int inputs = 0;  // not an attribute of the node: stored in the engine; 0 until it is known

    template <typename Self, typename Visit>
    static void VisitFields(Self& self, Visit&& visit) {
      visit("site", self.site, Needed::kYes);
      visit("layout", self.layout, Needed::kYes);
      visit("output_layout", self.output_layout, Needed::kYes);
      visit("tensors", self.tensors, Needed::kYes);
      visit("norm", self.norm, Needed::kYes);
      visit("scope", self.scope, Needed::kNo);
      visit("epsilon", self.epsilon, Needed::kNo);
      visit("root_epsilon", self.root_epsilon, Needed::kNo);
      visit("root_floor", self.root_floor, Needed::kNo);
      visit("weight", self.weight, Needed::kYes);
      visit("bias", self.bias, Needed::kYes);
      visit("rope", self.rope, Needed::kYes);
      visit("rotated", self.rotated, Needed::kNo);
      visit("rotary_start", self.rotary_start, Needed::kNo);
      visit("inputs", self.inputs, Needed::kNo);
    }
    const char* Check() const;
  };

  static int OutputCount(const Settings& settings) { return settings.tensors; }
  static bool MakeSignature(const Settings& settings, int inputs, Signature* signature);
  static std::string Check(const Settings& settings, int inputs, const Extents& extents);
  static Status CheckSupport(const Settings& settings, const Extents& extents, DataType type);
  static std::size_t WorkspaceSize(const Settings& settings, const Extents& extents, DataType type);
  static Status Enqueue(const Settings& settings, const Call& call);
};

template <>
inline constexpr const char* kHeadDims<QkNormRopeOp> = "multiples of 8 up to 256";

}  // namespace sparsedit::plugins

#endif  // SPARSEDIT_PLUGINS_QK_NORM_ROPE_PLUGIN_H_
