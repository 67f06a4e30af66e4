package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import java.util.HashMap;
import java.util.Map;

/**
 * The video tokens as blocks of one size, and text as a segment of its own: the segments of the
 * planners that do not cluster.
 *
 * <pre>
 *   text none    block 0, block 1, ..., block n-1
 *   text first   text, block 0, ..., block n-1, empty ones
 *   text last    block 0, ..., block n-1, empty ones, text
 * </pre>
 *
 * There are {@code n = ceil(video / size)} blocks, the last of which may be shorter. Plans have
 * room for {@code ceil(S / size)}, whatever part of S is text, so that the shapes of a plan follow
 * from those of Q; the blocks beyond n are empty.
 *
 * @param tokens the split of the site's tokens
 * @param size tokens of a block
 * @param count n
 * @param room how many blocks a plan has room for
 */
record VideoBlocks(VideoTokens tokens, Value size, Value count, Value room) {
  static VideoBlocks of(Ops ops, VideoTokens tokens, Value size) {
    return new VideoBlocks(
        tokens,
        size,
        ops.named("block_count", ops.ceilDiv(tokens.count(), size)),
        ops.named("block_room", ops.ceilDiv(tokens.all(), size)));
  }

  /** {@code ceil(tokens / size) + more} as a declared dimension. */
  static DeclaredDim room(DeclaredDim tokens, int size, int more) {
    if (tokens instanceof DeclaredDim.Fixed fixed) {
      return new DeclaredDim.Fixed((fixed.size() + size - 1) / size + more);
    }
    if (tokens instanceof DeclaredDim.Named named) {
      return new DeclaredDim.Named(
          "(" + named.name() + " + " + (size - 1) + ")//" + size + (more == 0 ? "" : " + " + more));
    }
    return tokens;
  }

  /** I64 {@code [room]}: tokens of each block. */
  Value sizes(Ops ops) {
    Value left = ops.sub(tokens.count(), ops.mul(ops.range(room), size));
    return ops.min(ops.max(left, ops.i64(0)), size);
  }

  /**
   * The outputs of a planner whose segments are the blocks, in the order that the tokens have.
   *
   * @param keep i32 {@code [B,H,N,ceil(N/32)]}, the keep bits
   */
  Map<String, Value> plan(Ops ops, Heads heads, Value keep) {
    Value natural = heads.repeat(ops, ops.i32(ops.filled(0, ops.i64s(0))));
    Value offsets = heads.repeat(ops, tokens.offsets(ops, sizes(ops)));
    Map<String, Value> outputs = new HashMap<>();
    outputs.put(SparseOps.QUERY_ORDER, natural);
    outputs.put(SparseOps.KEY_ORDER, natural);
    outputs.put(SparseOps.QUERY_OFFSETS, offsets);
    outputs.put(SparseOps.KEY_OFFSETS, offsets);
    outputs.put(SparseOps.KEEP, keep);
    return outputs;
  }

  /** Keep bits, i32 {@code [B,H,N,ceil(N/32)]}, of a plan that keeps every block and the text. */
  Value everythingKept(Ops ops, Heads heads) {
    Value all = ops.filled(1, ops.vector(room, room));
    return heads.repeat(ops, PlanParts.packKeep(ops, tokens.keepWithText(ops, all)));
  }

  /** Bool {@code [room]}: which blocks have tokens. */
  Value exist(Ops ops) {
    return ops.less(ops.range(room), count);
  }
}
