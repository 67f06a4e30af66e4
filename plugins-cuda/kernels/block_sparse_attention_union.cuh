// Attention of items whose three parts share one stream of keys, for plans of blocks.
//
// The parts of an item are groups of 64 query rows, neighbours in query order. The keys that any of
// them keeps come as one stream, so that what neighbours have in common is loaded once; each tile says
// which parts keep it, and the other warpgroups pass it by. Where the parts that keep change, a tile is
// cut: kept neighbours make runs of whole tiles where segments are multiples of kKeys, or are long.
// A stage is released once for its keys and values together: a warpgroup that passes a tile by waits
// for its keys' arrival alone.
#ifndef SPARSEDIT_KERNELS_BLOCK_SPARSE_ATTENTION_UNION_CUH_
#define SPARSEDIT_KERNELS_BLOCK_SPARSE_ATTENTION_UNION_CUH_

#include "kernels/block_sparse_attention_device.cuh"

namespace sparsedit::attention {

// Flags of a tile: bit i for part i, and
constexpr int kTileBiased = 8;
constexpr int kTileEnd = 16;  // no tile: the item's stream has ended

// One warp that streams the union of the kept rows of K (kIsKeys) or V.
template <typename C, bool kIsKeys>
struct UnionProducer {
  const HopperParams& params;
  const TensorMaps& all_maps;
  Shared<C> shared;
  char* generic;
  int lane;
  const CUtensorMap* maps = nullptr;
  int head = 0, batch = 0;
  int end_row = 0;       // first row that is outside of the tensor
  TileBiases<C> biases;
  const std::int32_t* offsets = nullptr;
  const std::int32_t* keep[C::kWarpgroups] = {};  // of the parts; null: no such part
  Ring<C::kStages> at = {};
  int fill = 0;
  int parts = 0;  // that keep the open tile

  __device__ UnionProducer(const HopperParams& params, const TensorMaps& maps, Shared<C> shared,
                           char* generic, int lane)
      : params(params),
        all_maps(maps),
        shared(shared),
        generic(generic),
        lane(lane),
        biases{params, reinterpret_cast<float*>(generic + C::kBiasAt), lane} {}

  __device__ std::uint32_t Full() const {
    return kIsKeys ? shared.KeysFull(at.stage) : shared.ValuesFull(at.stage);
  }
  __device__ void SetFlag(int flag) const {
    if (lane == 0) reinterpret_cast<int*>(generic + C::kFlagsAt)[at.stage] = flag;
  }

  // Copies `length` rows to row `fill` of the open tile.
  __device__ void Copy(int row, int length) const {
    const int bit = lane & 7, half = lane >> 3;
    if (half < C::kHalves && (length >> bit & 1) != 0) {
      const int before = length >> (bit + 1) << (bit + 1);
      const std::uint32_t tile = kIsKeys ? shared.Keys(at.stage) : shared.Values(at.stage);
      CopyBox(tile + half * C::kColumnBytes + (fill + before) * 128, maps + bit, Full(), half * 64,
              row + before, head, batch);
    }
  }

  // Adds `length` rows from `row` on, kept by `by`.
  __device__ void Put(int row, int length, int by) {
    if (length <= 0) return;
    if (fill > 0 && by != parts) Close();
    parts = by;
    while (length > 0) {
      if (fill == 0) {
        BarrierWait(shared.KeysEmpty(at.stage), at.parity ^ 1);
        if (lane == 0) BarrierExpect(Full(), C::kTileBytes);
        __syncwarp();
      }
      const int take = min(length, C::kKeys - fill);
      Copy(row, take);
      if (kIsKeys) biases.Put(at.stage, fill, row, take);
      fill += take;
      row += take;
      length -= take;
      if (fill == C::kKeys) Close();
    }
  }

  // Ends the open tile; what is left of it becomes zeros that no query attends.
  __device__ void Close() {
    const int valid = fill;
    if (valid < C::kKeys) Copy(end_row, C::kKeys - valid);
    if constexpr (kIsKeys) {
      SetFlag(parts | (biases.Close(at.stage, valid) ? kTileBiased : 0));
    }
    ArriveWarp(Full());
    at.Advance();
    fill = 0;
  }

  // 32 key segments: for this lane the bounds of one, and which parts keep it.
  struct Word {
    int start = 0, stop = 0, by = 0;
  };
  __device__ Word Load(int word) const {
    Word loaded;
    const int segment = word * 32 + lane;
    if (segment < params.key_segments) {
      loaded.start = offsets[segment];
      loaded.stop = offsets[segment + 1];
    }
#pragma unroll
    for (int part = 0; part < C::kWarpgroups; ++part) {
      const unsigned bits = keep[part] == nullptr ? 0u : static_cast<unsigned>(keep[part][word]);
      loaded.by |= static_cast<int>(bits >> lane & 1u) << part;
    }
    return loaded;
  }

  __device__ void Stream(int all_head, bool ordered, const Biased& biased,
                         const AttentionPart (&of)[C::kWarpgroups]) {
    batch = all_head / params.heads;
    head = all_head % params.heads;
    end_row = params.key_tokens + params.pseudo_keys;
    if (kIsKeys) biases.StartKeys(all_head, ordered, biased);
    offsets =
        params.key_offsets + static_cast<std::int64_t>(all_head) * (params.key_segments + 1);
    const int words = KeepWords(params.key_segments);
    int all = 0;
#pragma unroll
    for (int part = 0; part < C::kWarpgroups; ++part) {
      keep[part] = of[part].rows == 0
                       ? nullptr
                       : params.keep + (static_cast<std::int64_t>(all_head) *
                                            params.query_segments + of[part].segment) * words;
      biases.keep[part] = keep[part];
      all |= of[part].rows == 0 ? 0 : 1 << part;
    }
    maps = (kIsKeys ? all_maps.k : all_maps.v)[ordered];
    // Neighbouring segments that the same parts keep are one run.
    int run_start = 0, run_stop = 0, run_by = 0;
    Word next = Load(0);
    for (int word = 0; word < words; ++word) {
      const Word now = next;
      if (word + 1 < words) next = Load(word + 1);
      unsigned active = __ballot_sync(0xffffffffu, now.by != 0 && now.stop > now.start);
      while (active != 0) {
        const int from = __ffs(active) - 1;
        active &= active - 1;
        const int first = __shfl_sync(0xffffffffu, now.start, from);
        const int last = __shfl_sync(0xffffffffu, now.stop, from);
        const int by = __shfl_sync(0xffffffffu, now.by, from);
        if (first == run_stop && by == run_by) {
          run_stop = last;
        } else {
          Put(run_start, run_stop - run_start, run_by);
          run_start = first;
          run_stop = last;
          run_by = by;
        }
      }
    }
    Put(run_start, run_stop - run_start, run_by);
    if (params.pseudo_keys > 0) {
      if (fill > 0) Close();  // of another tensor map
      maps = (kIsKeys ? all_maps.k : all_maps.v)[1];
      if (kIsKeys) biases.StartPseudoKeys(all_head);
      Put(params.key_tokens, params.pseudo_keys, all);
    }
    if (fill > 0) Close();
    BarrierWait(shared.KeysEmpty(at.stage), at.parity ^ 1);
    if (kIsKeys) SetFlag(kTileEnd);
    ArriveWarp(Full());
    at.Advance();
  }
};

template <typename C>
__device__ __forceinline__ void ReadParts(const char* generic, int slot,
                                          AttentionPart (&parts)[C::kWarpgroups]) {
#pragma unroll
  for (int i = 0; i < C::kWarpgroups; ++i) parts[i] = ReadPart<C>(generic, slot, i);
}

template <typename C>
__device__ __forceinline__ void RunUnionKeys(const HopperParams& params, const TensorMaps& maps,
                                             const Shared<C>& shared, char* generic) {
  UnionProducer<C, true> producer(params, maps, shared, generic, threadIdx.x % 32);
  TakeItems<C>(params, shared, generic, [&](const Slot& slot) {
    AttentionPart parts[C::kWarpgroups];
    ReadParts<C>(generic, slot.stage, parts);
    producer.Stream(ReadHead<C>(generic, slot.stage), ReadOrdered<C>(generic, slot.stage),
                    ReadBiased<C>(generic, slot.stage), parts);
  });
}

template <typename C>
__device__ __forceinline__ void RunUnionValues(const HopperParams& params, const TensorMaps& maps,
                                               const Shared<C>& shared, char* generic) {
  UnionProducer<C, false> producer(params, maps, shared, generic, threadIdx.x % 32);
  Slot slot;
  while (true) {
    BarrierWait(shared.ItemFull(slot.stage), slot.parity);
    AttentionPart parts[C::kWarpgroups];
    ReadParts<C>(generic, slot.stage, parts);
    const int head = ReadHead<C>(generic, slot.stage);
    const bool ordered = ReadOrdered<C>(generic, slot.stage);
    const Biased biased = ReadBiased<C>(generic, slot.stage);
    ArriveWarp(shared.ItemEmpty(slot.stage));
    slot.Advance();
    if (parts[0].rows == 0) return;
    producer.Stream(head, ordered, biased, parts);
  }
}

template <typename C>
struct UnionConsumer : RowsOfWarpgroup<C> {
  using Base = RowsOfWarpgroup<C>;
  using Base::generic, Base::kOutputs, Base::kScores, Base::params, Base::shared, Base::thread,
      Base::warpgroup;
  // How many tiles are passed by at once while one's values are still to be multiplied. Less than
  // the ring holds, or that one would never be released.
  static constexpr int kAhead = C::kStages - 2;

  Ring<C::kStages> at = {};

  __device__ __forceinline__ UnionConsumer(const HopperParams& params, Shared<C> shared,
                                           char* generic, int warpgroup, int thread)
      : Base{params, shared, generic, warpgroup, thread} {}

  __device__ __forceinline__ bool IsOwn(int flag) const { return (flag >> warpgroup & 1) != 0; }

  // Waits for the keys at `place` and passes tiles by, `most` of them (or all, if negative), until one
  // is this part's or the stream ends. Returns the flag of the tile at `place`; 0 if none was found.
  __device__ __forceinline__ int Find(Ring<C::kStages>& place, int most) const {
    while (true) {
      BarrierWait(shared.KeysFull(place.stage), place.parity);
      const int flag = this->ReadFlag(place.stage);
      if (IsOwn(flag) || (flag & kTileEnd) != 0) return flag;
      ArriveWarp(shared.KeysEmpty(place.stage));
      place.Advance();
      if (--most == 0) return 0;
    }
  }

  __device__ __forceinline__ void Attend(int slot) {
    const AttentionPart part = ReadPart<C>(generic, slot, warpgroup);
    const int rows = part.rows;
    if (rows == 0) {
      Find(at, -1);
      ArriveWarp(shared.KeysEmpty(at.stage));
      at.Advance();
      return;
    }
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
    this->LoadQueries(ReadHead<C>(generic, slot), part.row, rows, true);

    float s[kScores];
    std::uint32_t p[kScores / 2];
    int flag = Find(at, -1);
    while ((flag & kTileEnd) == 0) {
      // A first tile, with nothing to multiply meanwhile.
      PinRegisters(s);
      WgmmaFence();
      this->IssueScores(s, at.stage);
      WgmmaCommit();
      WgmmaWait<0>();
      PinRegisters(s);
      bool rescale = false;
      if (warp_busy) {
        if ((flag & kTileBiased) != 0) this->AddBias(s, at.stage, warpgroup);
        rescale = softmax.Update(s);
        this->PackScores(s, p);
      } else {
#pragma unroll
        for (int i = 0; i < kScores / 2; ++i) p[i] = 0;
      }
      if (rescale) {
#pragma unroll
        for (int i = 0; i < kOutputs; ++i) o[i] *= softmax.correction[i / 2 % 2];
      }

      Ring<C::kStages> next = at;
      next.Advance();
      flag = Find(next, kAhead);
      while (IsOwn(flag)) {
        PinRegisters(s);
        PinRegisters(o);
        PinRegisters(p);
        WgmmaFence();
        this->IssueScores(s, next.stage);
        WgmmaCommit();
        BarrierWait(shared.ValuesFull(at.stage), at.parity);
        PinRegisters(o);
        PinRegisters(p);
        WgmmaFence();
        this->IssueOutputs(o, p, at.stage);
        WgmmaCommit();
        WgmmaWait<1>();
        PinRegisters(s);
        if (warp_busy && (flag & kTileBiased) != 0) this->AddBias(s, next.stage, warpgroup);
        rescale = warp_busy && softmax.Update(s);
        WgmmaWait<0>();
        PinRegisters(o);
        PinRegisters(p);
        ArriveWarp(shared.KeysEmpty(at.stage));
        if (warp_busy) this->PackScores(s, p);
        if (rescale) {
#pragma unroll
          for (int i = 0; i < kOutputs; ++i) o[i] *= softmax.correction[i / 2 % 2];
        }
        at = next;
        next.Advance();
        flag = Find(next, kAhead);
      }

      BarrierWait(shared.ValuesFull(at.stage), at.parity);
      PinRegisters(o);
      PinRegisters(p);
      WgmmaFence();
      this->IssueOutputs(o, p, at.stage);
      WgmmaCommit();
      WgmmaWait<0>();
      PinRegisters(o);
      ArriveWarp(shared.KeysEmpty(at.stage));
      at = next;
      if (flag == 0) flag = Find(at, -1);
    }
    ArriveWarp(shared.KeysEmpty(at.stage));  // the end
    at.Advance();
    const AttentionPart again = ReadPart<C>(generic, slot, warpgroup);
    this->StoreOutputs(ReadHead<C>(generic, slot), again.row, again.rows, o, softmax, true);
  }

  __device__ __forceinline__ void Run() {
    Slot slot;
    while (true) {
      BarrierWait(shared.ItemFull(slot.stage), slot.parity);
      if (ReadPart<C>(generic, slot.stage, 0).rows == 0) return;
      Attend(slot.stage);
      ArriveWarp(shared.ItemEmpty(slot.stage));
      slot.Advance();
    }
  }
};

template <typename C>
__global__ void __launch_bounds__(C::kThreads, 1)
    UnionKernel(const __grid_constant__ HopperParams params,
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
    }
    for (int slot = 0; slot < 2; ++slot) {
      BarrierInit(shared.ItemFull(slot), kWarpArrivals);
      BarrierInit(shared.ItemEmpty(slot), (4 * C::kWarpgroups + 1) * kWarpArrivals);
    }
    BarrierInitFence();
  }
  __syncthreads();
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0);
  const int warpgroup = warp / 4;
  if (warpgroup == 0) {
    ShrinkRegisters<C::kProducerRegisters>();
    if (warp == 0) {
      RunUnionKeys<C>(params, maps, shared, generic);
    } else if (warp == 1) {
      RunUnionValues<C>(params, maps, shared, generic);
    }
  } else {
    GrowRegisters<C::kConsumerRegisters>();
    UnionConsumer<C> consumer{params, shared, generic, warpgroup - 1,
                              static_cast<int>(threadIdx.x % 128)};
    consumer.Run();
  }
}

}  // namespace sparsedit::attention

#endif  // SPARSEDIT_KERNELS_BLOCK_SPARSE_ATTENTION_UNION_CUH_
