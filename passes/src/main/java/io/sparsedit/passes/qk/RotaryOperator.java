package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What the operators {@code RotaryEmbedding} (ONNX, opset 23) and {@code
 * com.microsoft.RotaryEmbedding} compute for one element.
 *
 * <p>X is {@code [B,H,S,D]}, or {@code [B,S,H*D]} with {@code num_heads}. The caches hold half as
 * many lanes as are rotated: {@code [B,S,R/2]}, or {@code [positions,R/2]} with {@code
 * position_ids}.
 */
final class RotaryOperator {
  private final Node node;
  private final ValueFacts facts;
  private final boolean microsoft;

  RotaryOperator(Node node, ValueFacts facts) {
    this.node = node;
    this.facts = facts;
    this.microsoft = node.domain().equals("com.microsoft");
  }

  Optional<Step> of(Element element) {
    boolean scaled = microsoft && node.floatAttribute("scale", 1) != 1;
    boolean packed = node.intAttribute("is_packed_batching", 0) != 0;
    if (!(microsoft || node.domain().isEmpty()) || scaled || packed) {
      return Optional.empty();
    }
    Value data = node.requiredInput(0);
    Value cos = node.requiredInput(microsoft ? 2 : 1);
    Value sin = node.requiredInput(microsoft ? 3 : 2);
    Optional<Value> positions = node.input(microsoft ? 1 : 3);
    Optional<List<Dim>> dims = facts.shape(data);
    Optional<List<Dim>> cacheDims = facts.shape(cos);
    if (dims.isEmpty() || cacheDims.isEmpty()) {
      return Optional.empty();
    }
    int rank = dims.get().size();
    int lanes = rank - 1;
    Index lane = element.at().get(lanes);
    long headDim = headDim(dims.get());
    List<Index.Digit> outer = new ArrayList<>();
    if (lane instanceof Index.Joined joined) {
      List<Index.Digit> digits = joined.digits();
      outer.addAll(digits.subList(0, digits.size() - 1));
      lane = digits.get(digits.size() - 1).index();
      Dim inner = digits.get(digits.size() - 1).size();
      if (!inner.is(headDim)) {
        return Optional.empty();
      }
    }
    if (!(lane instanceof Index.At at) || headDim <= 0) {
      return Optional.empty();
    }
    long rotated = node.intAttribute("rotary_embedding_dim", 0);
    rotated = rotated == 0 ? headDim : rotated;
    long head = at.number() / headDim * headDim;
    long d = at.number() - head;
    if (d >= rotated) {
      return Optional.of(new Step.Same(new Element(data, element.at())));
    }
    long half = rotated / 2;
    boolean interleaved = node.intAttribute("interleaved", 0) != 0;
    long pair = interleaved ? d / 2 : d % half;
    boolean first = interleaved ? d % 2 == 0 : d < half;
    long partner = interleaved ? d ^ 1 : first ? d + half : d - half;
    List<Index> other = new ArrayList<>(element.at());
    Index partnerLane = new Index.At(head + partner);
    if (!outer.isEmpty()) {
      outer.add(new Index.Digit(partnerLane, Dim.of(headDim)));
      partnerLane = Index.join(outer);
    }
    other.set(lanes, partnerLane);
    Index token = element.at().get(rank == 4 ? 2 : 1);
    Index batch = element.at().get(0);
    return cacheIndex(cacheDims.get(), positions, batch, token, pair)
        .map(
            cache ->
                new Step.Rotated(
                    new Element(data, element.at()),
                    new Element(cos, cache),
                    new Element(data, other),
                    new Element(sin, cache),
                    first ? -1 : 1));
  }

  private long headDim(List<Dim> dims) {
    Dim last = dims.get(dims.size() - 1);
    if (!last.isConstant()) {
      return 0;
    }
    long heads = node.intAttribute("num_heads", 0);
    long rotated = node.intAttribute("rotary_embedding_dim", 0);
    if (dims.size() == 4) {
      return last.constant().getAsLong();
    }
    if (heads > 0) {
      return last.constant().getAsLong() / heads;
    }
    // Without a number of heads the head is as wide as the cache says.
    Optional<List<Dim>> cache = facts.shape(node.requiredInput(microsoft ? 2 : 1));
    Dim half = cache.map(c -> c.get(c.size() - 1)).orElse(Dim.ZERO);
    return rotated > 0 || !half.isConstant() ? 0 : 2 * half.constant().getAsLong();
  }

  private Optional<List<Index>> cacheIndex(
      List<Dim> cacheDims, Optional<Value> positions, Index batch, Index token, long pair) {
    Index lane = new Index.At(pair);
    if (cacheDims.size() == 3) {
      Index row = cacheDims.get(0).is(1) ? Index.FIRST : batch;
      return Optional.of(List.of(row, token, lane));
    }
    if (positions.isEmpty()) {
      return Optional.empty();
    }
    Optional<List<Dim>> dims = facts.shape(positions.get());
    if (dims.isEmpty()) {
      return Optional.empty();
    }
    if (dims.get().size() == 1) {
      // The position of the first token.
      return facts
          .elements(positions.get())
          .flatMap(first -> Index.plus(token, first.get(0)))
          .map(index -> List.of(index, lane));
    }
    Index row = dims.get().get(0).is(1) ? Index.FIRST : batch;
    return Optional.of(List.of(new Index.Looked(positions.get(), List.of(row, token)), lane));
  }
}
