// BlockSparseAttention as a TensorRT plugin.
//
//   q, k, v, query_order, key_order, query_offsets, key_offsets, keep [, key_bias], action -> o
//
// k, v, key_order and key_bias may have another number of tokens than q, as in cross-attention. An
// order of no elements stands for the natural one. Compensation's means are taken in the
// workspace; compensation of masked keys (key_bias) is not supported and refused.
#ifndef SPARSEDIT_PLUGINS_BLOCK_SPARSE_ATTENTION_PLUGIN_H_
#define SPARSEDIT_PLUGINS_BLOCK_SPARSE_ATTENTION_PLUGIN_H_

#include "plugins/plugin.h"

namespace sparsedit::plugins {

struct BlockSparseAttentionOp {
  static constexpr const char* kName = "BlockSparseAttention";
  static constexpr const char* kTakes = "9 inputs, or 10 with key_bias";

  struct Settings {
    int site = 0;
    Layout layout = Layout::kBhsd;
    float scale = 1.0f;
    int compensate = 0;
    int inputs = 0;  // not an attribute of the node: stored in the engine; 0 until it is known

    template <typename Self, typename Visit>
    static void VisitFields(Self& self, Visit&& visit) {
      visit("site", self.site, Needed::kYes);
      visit("layout", self.layout, Needed::kYes);
      visit("scale", self.scale, Needed::kYes);
      visit("compensate", self.compensate, Needed::kYes);
      visit("inputs", self.inputs, Needed::kNo);
    }
    const char* Check() const;
  };

  static int OutputCount(const Settings&) { return 1; }
  static bool MakeSignature(const Settings& settings, int inputs, Signature* signature);
  static std::string Check(const Settings& settings, int inputs, const Extents& extents);
  static Status CheckSupport(const Settings& settings, const Extents& extents, DataType type);
  static std::size_t WorkspaceSize(const Settings& settings, const Extents& extents, DataType type);
  static Status Enqueue(const Settings& settings, const Call& call);
};

}  // namespace sparsedit::plugins

#endif  // SPARSEDIT_PLUGINS_BLOCK_SPARSE_ATTENTION_PLUGIN_H_
