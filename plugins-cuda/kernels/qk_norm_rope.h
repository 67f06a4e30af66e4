// The norm and the rotary position embedding of Q and K, and the transposition to the order that
// attention wants, in one pass: each element is read and written once.
//
//   q, k        f16, bf16 or f32 [B,H,S,D] or [B,S,H,D] (`layout`), 16-byte aligned; S of q and of k
//               may differ. One of the two alone: tensors = 1, in the place of q
//   q_out, k_out  the type of q, in `output_layout`, 16-byte aligned; may be q and k where the
//               layouts agree
//   weight, bias  [D], or [H*D] with lane d of head h at h*D + d; or null for 1 and 0. Of types of
//               their own, 16-byte aligned
//   cos, sin    f32 [Bt,T,Ht,R], Bt 1 or B, Ht 1 or H, 16-byte aligned
//
// Of each token x, in f32, rounded once at the end:
//   norm rms     y[h,d] = x[h,d] / root(mean(x^2)) * weight[h,d]
//   norm layer   y[h,d] = (x[h,d] - mean(x)) / root(mean((x - mean(x))^2)) * weight[h,d] + bias[h,d]
//   norm none    y = x
//   root(m)      max(sqrt(m + epsilon) + root_epsilon, root_floor)
// with means over d (scope head) or over h and d (scope hidden). Then, where token t is rotated, for
// lane d = rotary_start + i with 0 <= i < R:
//   rope interleaved   i even: y[d] cos[i] - y[d+1] sin[i]      i odd: y[d] cos[i] + y[d-1] sin[i]
//   rope half          i < R/2: y[d] cos[i] - y[d+R/2] sin[i]   else:  y[d] cos[i] + y[d-R/2] sin[i]
// Tokens [first_rotated, first_rotated + T) of each tensor are rotated, the first by the tables' row
// 0; other tokens and lanes keep y. first_rotated < 0 stands for the last T tokens of a tensor.
//
// Memory-bound. Blocks are persistent. One or several warps hold a token in registers, and the next
// one is on its way while they work on it; entries of the tables and weights stay in registers over
// the heads of a token, tables over Q and K. Tables of every head, lanes that are not rotated by
// eights, weights of every lane with scope head, biases with scope hidden and vectors that exceed
// shared memory take a slower kernel.
#ifndef SPARSEDIT_KERNELS_QK_NORM_ROPE_H_
#define SPARSEDIT_KERNELS_QK_NORM_ROPE_H_

#include "kernels/plan.h"

struct CUstream_st;

namespace sparsedit {

enum class NormKind : int { kNone = 0, kRms = 1, kLayer = 2 };
enum class NormScope : int { kHead = 0, kHidden = 1 };
enum class RopeForm : int { kNone = 0, kInterleaved = 1, kHalf = 2 };

struct QkNormRopeProblem {
  int batch = 0;
  int heads = 0;
  int tokens[2] = {0, 0};  // of q and k
  int head_dim = 0;
  int tensors = 2;
  DataType type = DataType::kBFloat16;
  Layout layout = Layout::kBshd;
  Layout output_layout = Layout::kBshd;
  NormKind norm = NormKind::kNone;
  NormScope scope = NormScope::kHead;
  float epsilon = 0.f;
  float root_epsilon = 0.f;
  float root_floor = 0.f;
  DataType weight_type[2] = {DataType::kFloat32, DataType::kFloat32};  // of q's and k's
  DataType bias_type[2] = {DataType::kFloat32, DataType::kFloat32};
  bool weight_of_head = true;                 // [D]; otherwise [H*D]
  RopeForm rope = RopeForm::kNone;
  int rotary_start = 0;
  int rotary_lanes = 0;  // R
  int rotated = 0;       // T
  int first_rotated = 0;
  int table_batch = 1;   // Bt
  int table_heads = 1;   // Ht
};

struct QkNormRopeBuffers {
  const void* x[2] = {nullptr, nullptr};  // q, k
  void* out[2] = {nullptr, nullptr};
  const void* weight[2] = {nullptr, nullptr};
  const void* bias[2] = {nullptr, nullptr};
  const float* cos = nullptr;
  const float* sin = nullptr;
};

constexpr int kMaxHidden = 32768;  // H * D
constexpr int kMaxHeadDim = 256;

// kInvalidArgument: an extent below one, a norm with a negative one of epsilon, root_epsilon and
// root_floor or with none that is positive, rotated lanes odd or outside of a head, rotated tokens
// outside of a tensor, table extents.
// kUnsupported: head dim no multiple of 8 or above kMaxHeadDim, H * D above kMaxHidden, B * S above
// 2^29.
inline Status CheckQkNormRope(const QkNormRopeProblem& p) {
  SPARSEDIT_REQUIRE(p.batch > 0 && p.heads > 0 && p.head_dim > 0 &&
                        (p.tensors == 1 || p.tensors == 2),
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(p.head_dim % 8 == 0 && p.head_dim <= kMaxHeadDim &&
                        static_cast<std::int64_t>(p.heads) * p.head_dim <= kMaxHidden,
                    Status::kUnsupported);
  SPARSEDIT_REQUIRE(p.norm == NormKind::kNone ||
                        (p.epsilon >= 0.f && p.root_epsilon >= 0.f && p.root_floor >= 0.f &&
                         (p.epsilon > 0.f || p.root_epsilon > 0.f || p.root_floor > 0.f)),
                    Status::kInvalidArgument);
  for (int i = 0; i < p.tensors; ++i) {
    SPARSEDIT_REQUIRE(p.tokens[i] > 0, Status::kInvalidArgument);
    SPARSEDIT_REQUIRE(static_cast<std::int64_t>(p.batch) * p.tokens[i] <= (1 << 29),
                      Status::kUnsupported);
    SPARSEDIT_REQUIRE(
        p.rope == RopeForm::kNone ||
            (p.rotated <= p.tokens[i] &&
             (p.first_rotated < 0 || p.first_rotated <= p.tokens[i] - p.rotated)),
        Status::kInvalidArgument);
  }
  SPARSEDIT_REQUIRE(p.rope == RopeForm::kNone ||
                        (p.rotary_start >= 0 && p.rotary_lanes >= 0 && p.rotary_lanes % 2 == 0 &&
                         p.rotary_lanes <= p.head_dim - p.rotary_start && p.rotated >= 0 &&
                         (p.table_batch == 1 || p.table_batch == p.batch) &&
                         (p.table_heads == 1 || p.table_heads == p.heads)),
                    Status::kInvalidArgument);
  return Status::kOk;
}

// Enqueues one kernel. kInvalidArgument also for null or unaligned pointers, and for an output that
// is its input where the layouts differ.
Status LaunchQkNormRope(const QkNormRopeProblem& problem, const QkNormRopeBuffers& buffers,
                        CUstream_st* stream);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_QK_NORM_ROPE_H_
