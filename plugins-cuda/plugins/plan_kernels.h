// Two small kernels on plans that the plugins need beside those of kernels/.
#ifndef SPARSEDIT_PLUGINS_PLAN_KERNELS_H_
#define SPARSEDIT_PLUGINS_PLAN_KERNELS_H_

#include "kernels/plan.h"

struct CUstream_st;

namespace sparsedit::plugins {

// Where `action` (the site's entry, on the device) does not plan: the plan that keeps everything in
// natural order, all tokens in the first segment of queries and of keys. Else nothing.
Status LaunchNaturalPlan(const PlanShape& shape, const MutablePlanView& plan,
                         const std::int32_t* action, CUstream_st* stream);

// *safe = *action, or DENSE where `action` is sparse and the plan is none that attention could
// follow without leaving its tensors: offsets that do not ascend from 0 to S, a token outside of
// [0, S), a bit of keep past the last segment. Reads the plan once.
Status LaunchSafeAction(const PlanShape& shape, const PlanView& plan, const std::int32_t* action,
                        std::int32_t* safe, CUstream_st* stream);

}  // namespace sparsedit::plugins

#endif  // SPARSEDIT_PLUGINS_PLAN_KERNELS_H_
