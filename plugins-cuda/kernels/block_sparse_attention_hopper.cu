// The sm_90a path of block-sparse attention.
//
// A block is persistent: a producer warpgroup and three consumer warpgroups of 64 query rows each
// (FlashAttention-3, arXiv 2407.08608, sections 3.1 and 3.2). The rows of an item belong to one
// query segment, or to two (parts) with a stream of key tiles each, in a half of the ring each. For
// each part a producer warp streams keys and another one values: it walks the kept
// segments and packs them into tiles of exactly kKeys rows. A run of n rows lands as one box for
// every bit of n, at any row of the tile, since the 128-byte swizzle is a function of the address
// alone. So nothing is padded but the end of the last tile of a part, which boxes outside of the
// tensor fill with zeros.
// Consumers keep scores, probabilities and output in registers; the scores of a tile are computed
// while the values of the tile before are multiplied. Queries are gathered and outputs scattered by
// token.
//
// Items of many small segments of uniform size go to block_sparse_attention_union.cuh instead.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include "kernels/block_sparse_attention_device.cuh"
#include "kernels/block_sparse_attention_paths.h"
#include "kernels/block_sparse_attention_union.cuh"
#include "kernels/tensor_map.h"

namespace sparsedit {
namespace {

using namespace attention;

// The tiles of an item in the ring of four stages. Those of a single part take all stages in turn; of
// two parts each has two stages of its own, so that neither waits for the other. Every item starts at
// the first stages. `turns` has a bit for each stage, the parity of its barriers' next phase: everybody
// counts the uses of all stages, by the numbers of tiles of all items.
//
// Phases have a parity only, so nobody may wait for a phase while the one before is not complete. A
// stage's user of the item before knows that it is; who was not waits at the start of an item until
// all consumers have finished the item before (WaitForItem).
template <int kStages>
struct Tiles {
  static_assert(kStages == 4, "two stages a part");

  std::uint32_t turns = 0;
  int counts[2] = {0, 0};  // of the item's parts; indexed by constants only, to stay in registers

  __device__ __forceinline__ int Count(int part) const {
    return part == 0 ? counts[0] : counts[1];
  }
  __device__ __forceinline__ bool TwoParts() const { return counts[1] > 0; }
  // Stages that a part uses, a bit each; none if it has no tiles.
  __device__ __forceinline__ int Stages(int part) const {
    return Count(part) == 0 ? 0 : !TwoParts() ? 15 : part == 0 ? 3 : 12;
  }
  __device__ __forceinline__ int First(int part) const { return TwoParts() ? 2 * part : 0; }
  __device__ __forceinline__ std::uint32_t Parity(int stage) const { return turns >> stage & 1; }
  // From a part's stage to its next one, this one being used.
  __device__ __forceinline__ int Advance(int stage) {
    turns ^= 1u << stage;
    return TwoParts() ? stage ^ 1 : (stage + 1) & 3;
  }
  // Ends the item, of whose stages those of `own` were counted as they were used.
  __device__ __forceinline__ void Next(int own) {
    std::uint32_t uses = 0;  // their parities
#pragma unroll
    for (int stage = 0; stage < 4; ++stage) {
      const int count = TwoParts() ? (Count(stage / 2) + 1 - stage % 2) / 2
                                   : (counts[0] + 3 - stage) / 4;
      uses |= static_cast<std::uint32_t>(count & 1) << stage;
    }
    turns ^= uses & ~own;
  }
};

// Waits until everybody is done with the item before the one in `slot`.
template <typename C>
__device__ __forceinline__ void WaitForItem(const Shared<C>& shared, const Slot& slot) {
  const Slot before = slot.Before();
  BarrierWait(shared.ItemEmpty(before.stage), before.parity);
}

template <typename C>
__device__ __forceinline__ int CountTiles(const AttentionPart& part, int pseudo_keys) {
  return part.rows == 0 ? 0 : (part.keys + pseudo_keys + C::kKeys - 1) / C::kKeys;
}

// One warp that streams the kept rows of K (kIsKeys) or V into tiles.
template <typename C, bool kIsKeys>
struct Producer {
  const HopperParams& params;
  const TensorMaps& all_maps;
  Shared<C> shared;
  char* generic;  // the shared memory that `shared` addresses
  int lane;
  const CUtensorMap* maps = nullptr;  // of the head's keys or values, kBoxSizes of them
  int head = 0, batch = 0;
  int end_row = 0;  // first row that is outside of the tensor
  TileBiases<C> biases;
  const std::int32_t* offsets = nullptr;
  const std::int32_t* keep_row = nullptr;
  Tiles<C::kStages> tiles = {};
  int known = 15;  // stages that this warp used in the item before; of the first item all
  int part = 0;
  int stage = 0;
  int fill = 0;

  __device__ Producer(const HopperParams& params, const TensorMaps& maps, Shared<C> shared,
                      char* generic, int lane)
      : params(params),
        all_maps(maps),
        shared(shared),
        generic(generic),
        lane(lane),
        biases{params, reinterpret_cast<float*>(generic + C::kBiasAt), lane} {}

  __device__ std::uint32_t Full() const {
    return kIsKeys ? shared.KeysFull(stage) : shared.ValuesFull(stage);
  }

  // Adds `length` rows from `row` on to the stream; row >= end_row gives zeros.
  __device__ void Put(int row, int length) {
    while (length > 0) {
      if (fill == 0) {
        BarrierWait(kIsKeys ? shared.KeysEmpty(stage) : shared.ValuesEmpty(stage),
                    tiles.Parity(stage) ^ 1);
        if (lane == 0) BarrierExpect(Full(), C::kTileBytes);
        __syncwarp();
      }
      const int take = min(length, C::kKeys - fill);
      const int bit = lane & 7, half = lane >> 3;
      if (half < C::kHalves && (take >> bit & 1) != 0) {
        const int before = take >> (bit + 1) << (bit + 1);
        const std::uint32_t tile = kIsKeys ? shared.Keys(stage) : shared.Values(stage);
        CopyBox(tile + half * C::kColumnBytes + (fill + before) * 128, maps + bit, Full(),
                half * 64, row + before, head, batch);
      }
      if (kIsKeys) biases.Put(stage, fill, row, take);
      fill += take;
      row += take;
      length -= take;
      if (fill == C::kKeys) Close(C::kKeys);
    }
  }

  // Ends a tile of which the first `valid` rows are keys.
  __device__ void Close(int valid) {
    if constexpr (kIsKeys) {
      const bool flag = biases.Close(stage, valid);
      if (lane == 0) reinterpret_cast<int*>(generic + C::kFlagsAt)[stage] = flag;
    }
    ArriveWarp(Full());
    stage = tiles.Advance(stage);
    fill = 0;
  }

  // Ends an item: the rest of an open tile becomes zeros that no query attends.
  __device__ void Finish() {
    if (fill == 0) return;
    const int valid = fill;
    const int rest = C::kKeys - fill;
    const int bit = lane & 7, half = lane >> 3;
    if (half < C::kHalves && (rest >> bit & 1) != 0) {
      const int before = rest >> (bit + 1) << (bit + 1);
      const std::uint32_t tile = kIsKeys ? shared.Keys(stage) : shared.Values(stage);
      CopyBox(tile + half * C::kColumnBytes + (fill + before) * 128, maps + bit, Full(), half * 64,
              end_row, head, batch);
    }
    Close(valid);
  }

  // Streams this warp's part of the item in `slot`.
  __device__ void Stream(const Slot& slot, int all_head, bool ordered, const Biased& biased,
                         const AttentionPart& first, const AttentionPart& second, bool sparse) {
    maps = (kIsKeys ? all_maps.k : all_maps.v)[ordered];
    if (kIsKeys) biases.StartKeys(all_head, ordered, biased);
    const int pseudo_keys = sparse ? params.pseudo_keys : 0;
    tiles.counts[0] = CountTiles<C>(first, pseudo_keys);
    tiles.counts[1] = CountTiles<C>(second, pseudo_keys);
    stage = tiles.First(part);
    const int stages = tiles.Stages(part);
    if ((stages & ~known) != 0) WaitForItem(shared, slot);
    known = stages;
    if (tiles.Count(part) > 0) {
      StreamPart(all_head, part == 0 ? first.segment : second.segment,
                 part == 0 ? first.keys : second.keys, sparse);
    }
    tiles.Next(stages);
  }

  __device__ void StreamPart(int all_head, int segment, int keys, bool sparse) {
    batch = all_head / params.heads;
    head = all_head % params.heads;
    end_row = params.key_tokens + (sparse ? params.pseudo_keys : 0);
    if (!sparse) {
      Put(0, params.key_tokens);
      Finish();
      return;
    }
    offsets =
        params.key_offsets + static_cast<std::int64_t>(all_head) * (params.key_segments + 1);
    const int words = KeepWords(params.key_segments);
    keep_row = params.keep +
               (static_cast<std::int64_t>(all_head) * params.query_segments + segment) *
                   words;
    biases.keep[0] = keep_row;
    if (keys > 0) {
      int bits = 0, start = 0, stop = 0;
      Load(0, &bits, &start, &stop);
      // Neighbouring kept segments are one run.
      int run_start = 0, run_stop = 0;
      for (int word = 0; word < words; ++word) {
        int next_bits = 0, next_start = 0, next_stop = 0;
        if (word + 1 < words) Load(word + 1, &next_bits, &next_start, &next_stop);
        const bool kept = (static_cast<unsigned>(bits) >> lane & 1u) != 0 && stop > start;
        unsigned active = __ballot_sync(0xffffffffu, kept);
        while (active != 0) {
          const int from = __ffs(active) - 1;
          active &= active - 1;
          const int first = __shfl_sync(0xffffffffu, start, from);
          const int last = __shfl_sync(0xffffffffu, stop, from);
          if (first == run_stop) {
            run_stop = last;
          } else {
            Put(run_start, run_stop - run_start);
            run_start = first;
            run_stop = last;
          }
        }
        bits = next_bits;
        start = next_start;
        stop = next_stop;
      }
      Put(run_start, run_stop - run_start);
    }
    maps = (kIsKeys ? all_maps.k : all_maps.v)[1];
    if (kIsKeys) biases.StartPseudoKeys(all_head);
    Put(params.key_tokens, params.pseudo_keys);
    Finish();
  }

  // The keep word and, for this lane, the bounds of one of its segments.
  __device__ void Load(int word, int* bits, int* start, int* stop) const {
    *bits = keep_row[word];
    const int segment = min(word * 32 + lane, params.key_segments - 1);
    *start = offsets[segment];
    *stop = word * 32 + lane < params.key_segments ? offsets[segment + 1] : *start;
  }
};

template <typename C>
__device__ __forceinline__ void RunFirstProducer(const HopperParams& params,
                                                 const TensorMaps& maps, const Shared<C>& shared,
                                                 char* generic, bool sparse) {
  Producer<C, true> producer(params, maps, shared, generic, threadIdx.x % 32);
  TakeItems<C>(params, shared, generic, [&](const Slot& slot) {
    const AttentionPart first = ReadPart<C>(generic, slot.stage, 0);
    const AttentionPart second = ReadPart<C>(generic, slot.stage, 1);
    producer.Stream(slot, ReadHead<C>(generic, slot.stage), ReadOrdered<C>(generic, slot.stage),
                    ReadBiased<C>(generic, slot.stage), first, second, sparse);
  });
}

template <typename C, bool kIsKeys>
__device__ __forceinline__ void RunProducer(const HopperParams& params, const TensorMaps& maps,
                                            const Shared<C>& shared, char* generic, int part,
                                            bool sparse) {
  const int lane = threadIdx.x % 32;
  Producer<C, kIsKeys> producer(params, maps, shared, generic, lane);
  producer.part = part;
  Slot slot;
  while (true) {
    BarrierWaitIdle(shared.ItemFull(slot.stage), slot.parity);
    const AttentionPart first = ReadPart<C>(generic, slot.stage, 0);
    const AttentionPart second = ReadPart<C>(generic, slot.stage, 1);
    const int head = ReadHead<C>(generic, slot.stage);
    const bool ordered = ReadOrdered<C>(generic, slot.stage);
    const Biased biased = ReadBiased<C>(generic, slot.stage);
    ArriveWarp(shared.ItemEmpty(slot.stage));
    if (first.rows == 0) return;
    producer.Stream(slot, head, ordered, biased, first, second, sparse);
    slot.Advance();
  }
}

template <typename C>
struct Consumer : RowsOfWarpgroup<C> {
  using Base = RowsOfWarpgroup<C>;
  using Base::generic, Base::kOutputs, Base::kScores, Base::params, Base::shared, Base::thread,
      Base::warpgroup;

  Tiles<C::kStages> tiles = {};
  int known = 15;  // stages that this warpgroup used in the item before; of the first item all

  __device__ __forceinline__ Consumer(const HopperParams& params, Shared<C> shared, char* generic,
                                      int warpgroup, int thread)
      : Base{params, shared, generic, warpgroup, thread} {}

  // Attends this warpgroup's rows of an item. The item is read again at the end: during the
  // products registers are scarce.
  __device__ __forceinline__ void Attend(const Slot& place, bool sparse) {
    const int slot = place.stage;
    const AttentionPart first = ReadPart<C>(generic, slot, 0);
    const AttentionPart second = ReadPart<C>(generic, slot, 1);
    const int pseudo_keys = sparse ? params.pseudo_keys : 0;
    tiles.counts[0] = CountTiles<C>(first, pseudo_keys);
    tiles.counts[1] = CountTiles<C>(second, pseudo_keys);
    const int first_groups = (first.rows + 63) / 64;
    const int part = warpgroup < first_groups ? 0 : 1;
    const int of_part = warpgroup - (part == 0 ? 0 : first_groups);
    const int skipped = of_part * 64;
    const int rows = min(64, (part == 0 ? first.rows : second.rows) - skipped);
    if (rows <= 0) {
      known = 0;
      return;
    }
    const int count = tiles.Count(part);
    // A stage is released by twelve arrivals, however many warpgroups use it.
    const int groups = part == 0 ? first_groups : (second.rows + 63) / 64;
    const int times = groups == 3 ? 1 : groups == 2 ? 2 - of_part : 3;
    // A warp without rows multiplies zeros, which costs time but hardly any energy.
    const int first_row = thread / 32 * 16;
    const bool warp_busy = __shfl_sync(0xffffffffu, first_row < rows ? 1 : 0, 0) != 0;

    float o[kOutputs];
#pragma unroll
    for (int i = 0; i < kOutputs; ++i) o[i] = 0.0f;
    Softmax<> softmax;
    softmax.scale_log2 = params.scale * kLog2E;
#pragma unroll
    for (int r = 0; r < 2; ++r) {  // rows past the end get no probability at all
      if (first_row + thread % 32 / 4 + 8 * r >= rows) softmax.maximum[r] = -kNegativeInfinity;
    }

    const int stages = tiles.Stages(part);
    if (count > 0) {
      this->LoadQueries(ReadHead<C>(generic, slot),
                        (part == 0 ? first.row : second.row) + skipped, rows, sparse);
      if ((stages & ~known) != 0) WaitForItem(shared, place);
      float s[kScores];
      std::uint32_t p[kScores / 2];
      int stage = tiles.First(part);
      std::uint32_t parity = tiles.Parity(stage);

      BarrierWait(shared.KeysFull(stage), parity);
      WgmmaFence();
      this->IssueScores(s, stage);
      WgmmaCommit();
      WgmmaWait<0>();
      PinRegisters(s);
      if (warp_busy && this->ReadFlag(stage) != 0) this->AddBias(s, stage, 0);
      ArriveWarps(shared.KeysEmpty(stage), times);
      if (warp_busy) {
        softmax.Update(s);
        this->PackScores(s, p);
      } else {
#pragma unroll
        for (int i = 0; i < kScores / 2; ++i) p[i] = 0;
      }

      for (int j = 1; j < count; ++j) {
        const int value_stage = stage;
        const std::uint32_t value_parity = parity;
        stage = tiles.Advance(stage);
        parity = tiles.Parity(stage);
        BarrierWait(shared.KeysFull(stage), parity);
        PinRegisters(s);
        PinRegisters(o);
        PinRegisters(p);
        WgmmaFence();
        this->IssueScores(s, stage);
        WgmmaCommit();
        BarrierWait(shared.ValuesFull(value_stage), value_parity);
        PinRegisters(o);
        PinRegisters(p);
        WgmmaFence();
        this->IssueOutputs(o, p, value_stage);
        WgmmaCommit();
        WgmmaWait<1>();
        PinRegisters(s);
        if (warp_busy && this->ReadFlag(stage) != 0) this->AddBias(s, stage, 0);
        ArriveWarps(shared.KeysEmpty(stage), times);
        const bool rescale = warp_busy && softmax.Update(s);
        WgmmaWait<0>();
        PinRegisters(o);
        PinRegisters(p);
        ArriveWarps(shared.ValuesEmpty(value_stage), times);
        if (warp_busy) this->PackScores(s, p);
        if (rescale) {
#pragma unroll
          for (int i = 0; i < kOutputs; ++i) o[i] *= softmax.correction[i / 2 % 2];
        }
      }

      BarrierWait(shared.ValuesFull(stage), parity);
      PinRegisters(o);
      PinRegisters(p);
      WgmmaFence();
      this->IssueOutputs(o, p, stage);
      WgmmaCommit();
      WgmmaWait<0>();
      PinRegisters(o);
      ArriveWarps(shared.ValuesEmpty(stage), times);
      tiles.Advance(stage);
    }
    known = stages;
    const AttentionPart again = ReadPart<C>(generic, slot, part);
    this->StoreOutputs(ReadHead<C>(generic, slot), again.row + skipped,
                       min(64, again.rows - skipped), o, softmax, sparse);
  }

  __device__ __forceinline__ void Run(bool sparse) {
    Slot slot;
    while (true) {
      BarrierWait(shared.ItemFull(slot.stage), slot.parity);
      if (ReadPart<C>(generic, slot.stage, 0).rows == 0) return;
      Attend(slot, sparse);
      tiles.Next(known);
      ArriveWarp(shared.ItemEmpty(slot.stage));
      slot.Advance();
    }
  }
};

template <typename C>
__global__ void __launch_bounds__(C::kThreads, 1)
    PackedKernel(const __grid_constant__ HopperParams params,
                 const __grid_constant__ TensorMaps maps) {
  if (params.queue->made == 0) return;
  extern __shared__ char dynamic_shared[];
  const std::uint32_t unaligned = SharedAddress(dynamic_shared);
  const std::uint32_t base = (unaligned + 1023) / 1024 * 1024;
  char* generic = dynamic_shared + (base - unaligned);
  const Shared<C> shared{base};
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < C::kStages; ++stage) {
      BarrierInit(shared.KeysFull(stage), kWarpArrivals);
      BarrierInit(shared.ValuesFull(stage), kWarpArrivals);
      BarrierInit(shared.KeysEmpty(stage), 4 * C::kWarpgroups * kWarpArrivals);
      BarrierInit(shared.ValuesEmpty(stage), 4 * C::kWarpgroups * kWarpArrivals);
    }
    for (int slot = 0; slot < 2; ++slot) {
      BarrierInit(shared.ItemFull(slot), kWarpArrivals);
      BarrierInit(shared.ItemEmpty(slot), (4 * C::kWarpgroups + 3) * kWarpArrivals);
    }
    BarrierInitFence();
  }
  __syncthreads();
  const bool sparse =
      __shfl_sync(0xffffffffu,
                  params.action == nullptr || ActionIsSparse(*params.action) ? 1 : 0, 0) != 0;
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0);
  const int warpgroup = warp / 4;
  if (warpgroup == 0) {
    ShrinkRegisters<C::kProducerRegisters>();
    if (warp == 0) {
      RunFirstProducer<C>(params, maps, shared, generic, sparse);
    } else if (warp == 2) {
      RunProducer<C, true>(params, maps, shared, generic, 1, sparse);
    } else {
      RunProducer<C, false>(params, maps, shared, generic, warp / 2, sparse);
    }
  } else {
    GrowRegisters<C::kConsumerRegisters>();
    Consumer<C> consumer{params, shared, generic, warpgroup - 1,
                         static_cast<int>(threadIdx.x % 128)};
    consumer.Run(sparse);
  }
}

// Maps of boxes of 1, 2, ..., 128 rows of [batch, head, row, column].
bool EncodeMaps(EncodeTiled encode, CUtensorMap* maps, DataType type, const void* data,
                int head_dim, int rows, const PlanShape& shape, const Strides& strides) {
  for (int i = 0; i < kBoxSizes; ++i) {
    if (!EncodeTokenMap(encode, &maps[i], type, data, shape.batch, shape.heads, rows, head_dim,
                        strides, 1 << i)) {
      return false;
    }
  }
  return true;
}

template <typename C, typename Kernel>
Status LaunchKernel(Kernel kernel, const HopperParams& params, const TensorMaps& maps, int blocks,
                    CUstream_st* stream) {
  if (cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           C::kSharedBytes) != cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  kernel<<<blocks, C::kThreads, C::kSharedBytes, stream>>>(params, maps);
  return LaunchStatus();
}

// Three warpgroups share every tile: with two, reads of K and V through the L2 cache cost more. 80
// keys are what 160 registers a thread hold at head dim 128; see bench/RESULTS.md.
template <typename T, int kHeadDim>
struct Configs;
template <typename T>
struct Configs<T, 128> {
  using Packed = Config<T, 128, 80, 3>;
  using ShortRuns = Config<T, 128, 64, 3, 5, 3>;
  using LongRuns = Config<T, 128, 80, 3, 4, 3>;
};
template <typename T>
struct Configs<T, 64> {
  using Packed = Config<T, 64, 128, 3>;
  using ShortRuns = Config<T, 64, 64, 3, 8, 3>;
  using LongRuns = Config<T, 64, 128, 3, 4, 3>;
};

// A kernel a queue; those whose queue is empty end at once.
template <typename T, int kHeadDim>
Status LaunchAll(HopperParams params, const TensorMaps& maps,
                 const BlockSparseAttentionWorkspace& workspace, int blocks, CUstream_st* stream) {
  using Of = Configs<T, kHeadDim>;
  const auto take = [&](AttentionKind kind) {
    params.queue = workspace.queues + static_cast<int>(kind);
    params.items = workspace.items[static_cast<int>(kind)];
  };
  take(AttentionKind::kPacked);
  SPARSEDIT_RETURN_IF_ERROR(LaunchKernel<typename Of::Packed>(
      PackedKernel<typename Of::Packed>, params, maps, blocks, stream));
  take(AttentionKind::kShortRuns);
  SPARSEDIT_RETURN_IF_ERROR(LaunchKernel<typename Of::ShortRuns>(
      UnionKernel<typename Of::ShortRuns>, params, maps, blocks, stream));
  take(AttentionKind::kLongRuns);
  return LaunchKernel<typename Of::LongRuns>(UnionKernel<typename Of::LongRuns>, params, maps,
                                             blocks, stream);
}

}  // namespace

Status LaunchHopperAttention(const BlockSparseAttentionArgs& args,
                             const BlockSparseAttentionWorkspace& workspace, int multiprocessors,
                             CUstream_st* stream) {
  const EncodeTiled encode = FindEncodeTiled();
  SPARSEDIT_REQUIRE(encode != nullptr, Status::kUnsupported);
  const int pseudo_keys = args.means_k == nullptr ? 0 : args.shape.key_segments;
  const int key_tokens = KeyTokens(args.shape);
  const Strides strides = KeyStridesOf(args.shape, args.head_dim, args.layout);
  PlanShape ordered = args.shape;
  ordered.tokens = key_tokens + pseudo_keys;
  const Strides ordered_strides = StridesOf(ordered, args.head_dim, Layout::kBhsd);
  TensorMaps maps;
  const int dim = args.head_dim;
  if (!EncodeMaps(encode, maps.k[0], args.type, args.k, dim, key_tokens, args.shape, strides) ||
      !EncodeMaps(encode, maps.v[0], args.type, args.v, dim, key_tokens, args.shape, strides) ||
      !EncodeMaps(encode, maps.k[1], args.type, workspace.keys, dim, ordered.tokens, args.shape,
                  ordered_strides) ||
      !EncodeMaps(encode, maps.v[1], args.type, workspace.values, dim, ordered.tokens, args.shape,
                  ordered_strides)) {
    return Status::kUnsupported;
  }
  HopperParams params{};
  params.q = args.q;
  params.o = args.o;
  params.lse = args.lse;
  params.query_order = args.plan.query_order;
  params.key_offsets = args.plan.key_offsets;
  params.keep = args.plan.keep;
  params.action = args.action;
  params.key_bias = args.key_bias;
  params.biases = workspace.biases;
  params.strides = StridesOf(args.shape, args.head_dim, args.layout);
  params.heads = args.shape.heads;
  params.tokens = args.shape.tokens;
  params.key_tokens = key_tokens;
  params.query_segments = args.shape.query_segments;
  params.key_segments = args.shape.key_segments;
  params.pseudo_keys = pseudo_keys;
  params.scale = args.scale;
  params.inverse_scale = 1.0f / args.scale;
  const bool bf16 = args.type == DataType::kBFloat16;
  if (args.head_dim == 128) {
    return bf16 ? LaunchAll<__nv_bfloat16, 128>(params, maps, workspace, multiprocessors, stream)
                : LaunchAll<__half, 128>(params, maps, workspace, multiprocessors, stream);
  }
  return bf16 ? LaunchAll<__nv_bfloat16, 64>(params, maps, workspace, multiprocessors, stream)
              : LaunchAll<__half, 64>(params, maps, workspace, multiprocessors, stream);
}

}  // namespace sparsedit
