// Svg2Plan: the planner of SVG2 (Sparse VideoGen2, arXiv 2505.18875) as a TensorRT plugin.
//
//   q, k, geometry, q_centroids, k_centroids
//     [, last_query_order, last_key_order, last_query_offsets, last_key_offsets, last_keep], action
//   -> query_order, key_order, query_offsets, key_offsets, keep, next_q_centroids, next_k_centroids
//
// A node has either top_p, or density and ranking ("mass" or "mass-per-token"), the budget of
// docs/methods.md.
//
// A step that does not plan passes the centroids through, and the last plan where it is an input;
// where it is not, the plan is the natural order with everything kept.
#ifndef SPARSEDIT_PLUGINS_SVG2_PLAN_PLUGIN_H_
#define SPARSEDIT_PLUGINS_SVG2_PLAN_PLUGIN_H_

#include <limits>

#include "plugins/plugin.h"

namespace sparsedit::plugins {

struct Svg2PlanOp {
  static constexpr const char* kName = "Svg2Plan";
  static constexpr const char* kTakes = "6 inputs, or 11 with the last plan";

  struct Settings {
    static constexpr float kUnset = -std::numeric_limits<float>::infinity();

    int site = 0;
    Layout layout = Layout::kBhsd;
    float scale = 1.0f;
    int query_clusters = 1;
    int key_clusters = 1;
    float top_p = kUnset;  // or density and ranking
    float density = kUnset;
    Ranking ranking = Ranking::kNone;
    float min_kept = 0.0f;
    int iterations = 2;
    int init_iterations = 50;
    TextPosition text = TextPosition::kNone;
    int inputs = 0;  // not an attribute of the node: stored in the engine; 0 until it is known

    template <typename Self, typename Visit>
    static void VisitFields(Self& self, Visit&& visit) {
      visit("site", self.site, Needed::kYes);
      visit("layout", self.layout, Needed::kYes);
      visit("scale", self.scale, Needed::kYes);
      visit("q_clusters", self.query_clusters, Needed::kYes);
      visit("k_clusters", self.key_clusters, Needed::kYes);
      visit("top_p", self.top_p, Needed::kNo);
      visit("density", self.density, Needed::kNo);
      visit("ranking", self.ranking, Needed::kNo);
      visit("min_kept", self.min_kept, Needed::kYes);
      visit("iterations", self.iterations, Needed::kYes);
      visit("init_iterations", self.init_iterations, Needed::kYes);
      visit("text_position", self.text, Needed::kYes);
      visit("inputs", self.inputs, Needed::kNo);
    }
    const char* Check() const;
  };

  static int OutputCount(const Settings&) { return 7; }
  static bool MakeSignature(const Settings& settings, int inputs, Signature* signature);
  static std::string Check(const Settings& settings, int inputs, const Extents& extents);
  static Status CheckSupport(const Settings& settings, const Extents& extents, DataType type);
  static std::size_t WorkspaceSize(const Settings& settings, const Extents& extents, DataType type);
  static Status Enqueue(const Settings& settings, const Call& call);
};

}  // namespace sparsedit::plugins

#endif  // SPARSEDIT_PLUGINS_SVG2_PLAN_PLUGIN_H_
