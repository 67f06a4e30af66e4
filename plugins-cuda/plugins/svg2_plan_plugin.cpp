#include "plugins/svg2_plan_plugin.h"

#include <algorithm>
#include <cmath>

#include "kernels/kmeans.h"
#include "kernels/plan_scores.h"
#include "plugins/plan_kernels.h"

namespace sparsedit::plugins {
namespace {

// Positions of the inputs; action is the last.
enum Input { kQ, kK, kGeometry, kQueryCentroids, kKeyCentroids, kLastPlan };
constexpr int kPlanTensors = 5;
constexpr int kInputs = kLastPlan + 1;

std::vector<Tensor> PlanTensors(const char* const (&names)[kPlanTensors], int query_segments,
                                int key_segments) {
  const Extent batch = {Variable::kBatch}, heads = {Variable::kHeads}, tokens = {Variable::kTokens};
  return {
      {names[0], Element::kInt32, {batch, heads, tokens}},
      {names[1], Element::kInt32, {batch, heads, tokens}},
      {names[2], Element::kInt32, {batch, heads, Constant(query_segments + 1)}},
      {names[3], Element::kInt32, {batch, heads, Constant(key_segments + 1)}},
      {names[4],
       Element::kInt32,
       {batch, heads, Constant(query_segments), Constant(KeepWords(key_segments))}},
  };
}

Tensor Centroids(const char* name, int clusters) {
  return {name,
          Element::kFloat32,
          {{Variable::kBatch}, {Variable::kHeads}, Constant(clusters), {Variable::kHeadDim}}};
}

KmeansProblem KmeansOf(const Svg2PlanOp::Settings& settings, const Extents& extents,
                       DataType type) {
  KmeansProblem problem;
  problem.batch = extents.Of(Variable::kBatch);
  problem.heads = extents.Of(Variable::kHeads);
  problem.tokens = extents.Of(Variable::kTokens);
  problem.head_dim = extents.Of(Variable::kHeadDim);
  problem.type = type;
  problem.layout = settings.layout;
  problem.query_clusters = settings.query_clusters;
  problem.key_clusters = settings.key_clusters;
  problem.text = settings.text;
  problem.iterations = settings.iterations;
  problem.init_iterations = settings.init_iterations;
  return problem;
}

PlanScoresProblem ScoresOf(const Svg2PlanOp::Settings& settings, const Extents& extents) {
  PlanScoresProblem problem;
  problem.batch = extents.Of(Variable::kBatch);
  problem.heads = extents.Of(Variable::kHeads);
  problem.query_clusters = settings.query_clusters;
  problem.key_clusters = settings.key_clusters;
  problem.head_dim = extents.Of(Variable::kHeadDim);
  problem.text = settings.text;
  problem.scale = settings.scale;
  switch (settings.ranking) {
    case Ranking::kNone: problem.selection = Selection::kTopP; break;
    case Ranking::kMass: problem.selection = Selection::kBudgetByMass; break;
    case Ranking::kMassPerToken: problem.selection = Selection::kBudgetByMassPerToken; break;
  }
  problem.p = settings.ranking == Ranking::kNone ? settings.top_p : settings.density;
  problem.min_kept = settings.min_kept;
  return problem;
}

}  // namespace

const char* Svg2PlanOp::Settings::Check() const {
  if (!std::isfinite(scale)) return "scale must be finite";
  if (query_clusters < 1 || query_clusters > kMaxClusters || key_clusters < 1 ||
      key_clusters > kMaxClusters) {
    return "q_clusters and k_clusters must be from 1 to 4096";
  }
  const bool has_top_p = top_p != kUnset, has_density = density != kUnset;
  const bool has_ranking = ranking != Ranking::kNone;
  if (has_top_p == has_density || has_density != has_ranking) {
    return "either top_p, or density and ranking";
  }
  if (has_top_p && !(top_p >= 0.0f)) return "top_p must not be negative";
  if (has_density && !(density > 0.0f)) return "density must be above 0";
  if (!(min_kept >= 0.0f && min_kept <= 1.0f)) return "min_kept must be from 0 to 1";
  if (iterations < 1 || init_iterations < 1) return "iterations must be at least 1";
  return nullptr;
}

bool Svg2PlanOp::MakeSignature(const Settings& settings, int inputs, Signature* signature) {
  if (inputs != kInputs && inputs != kInputs + kPlanTensors) return false;
  const int query_segments = SegmentsOf(settings.query_clusters, settings.text);
  const int key_segments = SegmentsOf(settings.key_clusters, settings.text);
  static constexpr const char* kNames[kPlanTensors] = {"query_order", "key_order", "query_offsets",
                                                       "key_offsets", "keep"};
  static constexpr const char* kLastNames[kPlanTensors] = {
      "last_query_order", "last_key_order", "last_query_offsets", "last_key_offsets", "last_keep"};
  signature->inputs = {Activation("q", settings.layout),
                       Activation("k", settings.layout),
                       {"geometry", Element::kInt32, {Constant(3)}},
                       Centroids("q_centroids", settings.query_clusters),
                       Centroids("k_centroids", settings.key_clusters)};
  if (inputs != kInputs) {
    for (Tensor& tensor : PlanTensors(kLastNames, query_segments, key_segments)) {
      signature->inputs.push_back(std::move(tensor));
    }
  }
  signature->inputs.push_back({"action", Element::kInt32, {{Variable::kSites}}});
  signature->outputs = PlanTensors(kNames, query_segments, key_segments);
  signature->outputs.push_back(Centroids("next_q_centroids", settings.query_clusters));
  signature->outputs.push_back(Centroids("next_k_centroids", settings.key_clusters));
  return true;
}

std::string Svg2PlanOp::Check(const Settings&, int, const Extents&) { return ""; }

Status Svg2PlanOp::CheckSupport(const Settings& settings, const Extents& extents, DataType type) {
  SPARSEDIT_RETURN_IF_ERROR(CheckKmeans(KmeansOf(settings, extents, type)));
  return CheckPlanScores(ScoresOf(settings, extents));
}

// The two kernels use it one after the other.
std::size_t Svg2PlanOp::WorkspaceSize(const Settings& settings, const Extents& extents,
                                      DataType type) {
  return std::max(KmeansWorkspaceSize(KmeansOf(settings, extents, type)),
                  PlanScoresWorkspaceSize(ScoresOf(settings, extents)));
}

Status Svg2PlanOp::Enqueue(const Settings& settings, const Call& call) {
  const bool has_last = settings.inputs == kInputs + kPlanTensors;
  const std::int32_t* action =
      As<std::int32_t>(call.inputs[settings.inputs - 1]) + settings.site;
  const MutablePlanView plan = {
      As<std::int32_t>(call.outputs[0]), As<std::int32_t>(call.outputs[1]),
      As<std::int32_t>(call.outputs[2]), As<std::int32_t>(call.outputs[3]),
      As<std::int32_t>(call.outputs[4])};
  PlanView last;
  if (has_last) {
    const void* const* tensors = call.inputs + kLastPlan;
    last = {As<std::int32_t>(tensors[0]), As<std::int32_t>(tensors[1]),
            As<std::int32_t>(tensors[2]), As<std::int32_t>(tensors[3]),
            As<std::int32_t>(tensors[4])};
  }

  KmeansBuffers kmeans;
  kmeans.q = call.inputs[kQ];
  kmeans.k = call.inputs[kK];
  kmeans.action = action;
  kmeans.geometry = As<std::int32_t>(call.inputs[kGeometry]);
  kmeans.query_centroids_in = As<float>(call.inputs[kQueryCentroids]);
  kmeans.key_centroids_in = As<float>(call.inputs[kKeyCentroids]);
  kmeans.query_centroids = As<float>(call.outputs[5]);
  kmeans.key_centroids = As<float>(call.outputs[6]);
  kmeans.previous = last;
  kmeans.plan = plan;
  SPARSEDIT_RETURN_IF_ERROR(LaunchKmeans(KmeansOf(settings, call.extents, call.type), kmeans,
                                         call.workspace, call.workspace_size, call.stream));

  PlanScoresBuffers scores;
  scores.query_centroids = kmeans.query_centroids;
  scores.key_centroids = kmeans.key_centroids;
  scores.key_offsets = plan.key_offsets;
  scores.query_offsets = plan.query_offsets;
  scores.action = action;
  scores.previous_keep = last.keep;
  scores.keep = plan.keep;
  SPARSEDIT_RETURN_IF_ERROR(LaunchPlanScores(ScoresOf(settings, call.extents), scores,
                                             call.workspace, call.workspace_size, call.stream));
  if (has_last) return Status::kOk;

  const PlanShape shape = {
      call.extents.Of(Variable::kBatch), call.extents.Of(Variable::kHeads),
      call.extents.Of(Variable::kTokens), SegmentsOf(settings.query_clusters, settings.text),
      SegmentsOf(settings.key_clusters, settings.text)};
  return LaunchNaturalPlan(shape, plan, action, call.stream);
}

}  // namespace sparsedit::plugins
