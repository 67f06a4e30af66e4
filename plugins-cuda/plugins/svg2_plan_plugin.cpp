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
constexpr int kInputs = kLastPlan + 1;

PlanShape ShapeOf(const Svg2PlanOp::Settings& settings, const Extents& extents) {
  return {extents.Of(Variable::kBatch), extents.Of(Variable::kHeads), extents.Of(Variable::kTokens),
          SegmentsOf(settings.query_clusters, settings.text),
          SegmentsOf(settings.key_clusters, settings.text)};
}

Tensor Centroids(const char* name, int clusters) {
  return {name,
          Element::kFloat32,
          {{Variable::kBatch}, {Variable::kHeads}, Constant(clusters), {Variable::kHeadDim}}};
}

KmeansProblem KmeansOf(const Svg2PlanOp::Settings& settings, const Extents& extents,
                       DataType type) {
  auto problem = ProblemOfSize<KmeansProblem>(extents, type, settings.layout);
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
  const PlanExtents plan = {{Variable::kTokens},
                            {Variable::kTokens},
                            Constant(query_segments + 1),
                            Constant(key_segments + 1),
                            Constant(query_segments),
                            Constant(KeepWords(key_segments))};
  signature->inputs = {Activation("q", settings.layout), Activation("k", settings.layout),
                       Geometry(), Centroids("q_centroids", settings.query_clusters),
                       Centroids("k_centroids", settings.key_clusters)};
  if (inputs != kInputs) {
    for (Tensor& tensor : PlanTensors(plan, "last_")) signature->inputs.push_back(std::move(tensor));
  }
  signature->inputs.push_back(Action());
  signature->outputs = PlanTensors(plan);
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
  const std::int32_t* action = ActionOf(settings, call);
  const MutablePlanView plan = PlanOf(call.outputs);
  const PlanView last = has_last ? PlanOf(call.inputs + kLastPlan) : PlanView();

  KmeansBuffers kmeans;
  kmeans.q = call.inputs[kQ];
  kmeans.k = call.inputs[kK];
  kmeans.action = action;
  kmeans.geometry = As<std::int32_t>(call.inputs[kGeometry]);
  kmeans.query_centroids_in = As<float>(call.inputs[kQueryCentroids]);
  kmeans.key_centroids_in = As<float>(call.inputs[kKeyCentroids]);
  kmeans.query_centroids = As<float>(call.outputs[kPlanTensors]);
  kmeans.key_centroids = As<float>(call.outputs[kPlanTensors + 1]);
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
  return LaunchNaturalPlan(ShapeOf(settings, call.extents), plan, action, call.stream);
}

}  // namespace sparsedit::plugins
