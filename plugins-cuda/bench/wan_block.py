"""One or two Wan 2.1 blocks at any size, in the very graph that the exporter wrote.

Takes a small export of Wan (testdata/zoo/wan21_t2v-ts17-fp16: two blocks, 2 heads x 32), keeps one
block or both, and gives all weights, constants and inputs the sizes of another model; by default Wan
2.1 14B at 720p: 40 heads x 128, FFN 13,824, 21 x 45 x 80 = 75,600 tokens, bf16.

usage: wan_block.py graph EXPORT.onnx OUTDIR [--blocks 1|2] [--frames N] [--rope scatter|concat]
       wan_block.py weights OUTDIR

graph    writes OUTDIR/model.onnx, OUTDIR/weights.json and, as holes that take no space, the weight
         files: enough for sparsify-model compile --verify none.
weights  fills the weight files with random numbers (needs torch), where the model is to run.
--rope concat  writes RoPE as the concatenation of its halves in place of the two ScatterND that
         PyTorch's TorchScript exporter makes of a strided assignment.
"""

import argparse
import pathlib

import numpy as np
from resize import external, fill, finish, prune

HEADS, HEAD_DIM, HIDDEN, FFN, TEXT, TEXT_DIM, CHANNELS = 40, 128, 5120, 13824, 512, 4096, 16
HEIGHT, WIDTH = 45, 80
SMALL = dict(frames=4, height=8, width=6, heads=2, head_dim=32, hidden=64, ffn=128, text=24, text_dim=32, channels=4)


def rope_parts(head_dim):
    side = 2 * (head_dim // 6)
    return head_dim - 2 * side, side, side


def graph(args):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(args.export)
    g = model.graph
    frames, tokens = args.frames, args.frames * HEIGHT * WIDTH
    small_tokens = SMALL['frames'] * SMALL['height'] * SMALL['width']
    t, h, w = rope_parts(HEAD_DIM)
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)

    if args.blocks == 1:
        leave_out_second_block(g)

    # ---- types: f16 becomes bf16
    def bf16(kind):
        return TensorProto.BFLOAT16 if kind == TensorProto.FLOAT16 else kind

    for n in g.node:
        for a in n.attribute:
            if n.op_type == 'Cast' and a.name == 'to':
                a.i = bf16(a.i)

    # ---- sizes
    def scaled(shape, of):
        table = {
            'hidden_states': [1, CHANNELS, frames, 2 * HEIGHT, 2 * WIDTH],
            'encoder_hidden_states': [1, TEXT, TEXT_DIM],
        }
        if of in table:
            return table[of]
        sizes = {64: HIDDEN, 384: 6 * HIDDEN, 128: FFN, 16: 4 * CHANNELS, 4: CHANNELS, 32: TEXT_DIM}
        if 'time_embedder.linear_1.weight' in of:
            return [HIDDEN, 64]
        if 'patch_embedding.weight' in of:
            return [HIDDEN, CHANNELS, 1, 2, 2]
        return [s if s in (1, 2, 6) else sizes[s] for s in shape]

    plan, offset = [], 0
    for initial in g.initializer:
        shape, kind = scaled(list(initial.dims), initial.name), bf16(initial.data_type)
        count = int(np.prod(shape))
        size = count * (2 if kind == TensorProto.BFLOAT16 else 4)
        initial.CopyFrom(TensorProto(name=initial.name, dims=shape, data_type=kind))
        external(initial, 'weights.bin', offset, size)
        ones = 'norm' in initial.name.lower() and 'bias' not in initial.name
        plan.append(dict(name=initial.name, offset=offset, count=count, type='bf16' if size == 2 * count else 'f32',
                         fan=shape[0] if len(shape) > 1 else 0, ones=ones))
        offset = (offset + size + 4095) // 4096 * 4096
    weights = offset

    zeros = tokens * HEADS * HEAD_DIM * 2
    constants = {
        (1, small_tokens, 1, -1): [1, tokens, 1, -1],
        (4, 8, 6, -1): [frames, HEIGHT, WIDTH, -1],
        (1, 4, 8, 6, 1, 2, 2, -1): [1, frames, HEIGHT, WIDTH, 1, 2, 2, -1],
        (2, -1): [HEADS, -1],
    }
    for n in g.node:
        if n.op_type != 'Constant':
            continue
        tensor = n.attribute[0].t
        a = numpy_helper.to_array(tensor)
        if a.shape == (1, small_tokens, 2, 32):
            shared = TensorProto(dims=[1, tokens, HEADS, HEAD_DIM], data_type=TensorProto.BFLOAT16)
            external(shared, 'zeros.bin', 0, zeros)
            n.attribute[0].t.CopyFrom(shared)
            continue
        b = None
        if a.dtype == np.float32 and a.ndim == 4 and a.size > 1:
            # cos and sin of the positions along one axis of the video
            axis = [i for i in range(3) if a.shape[i] > 1][0]
            length, part = (frames, HEIGHT, WIDTH)[axis], (t, h, w)[axis]
            angle = np.outer(np.arange(length), 10000.0 ** (-np.arange(0, part, 2) / part)).repeat(2, axis=1)
            shape = [1, 1, 1, part]
            shape[axis] = length
            cosine = np.isclose(a.flatten()[0], 1)
            b = (np.cos(angle) if cosine else np.sin(angle)).astype(np.float32).reshape(shape)
        elif a.dtype == np.float32 and a.shape == (64,):
            b = np.full(HIDDEN, a[0], np.float32)
        elif a.dtype == np.int64 and tuple(a.flatten().tolist()) in constants and a.ndim == 1:
            b = np.array(constants[tuple(a.tolist())], np.int64)
        elif a.dtype == np.int64 and a.shape == (1, small_tokens, 2, 1):
            b = (np.arange(tokens)[:, None] + np.arange(HEADS)[None]).reshape(1, tokens, HEADS, 1)
        elif a.dtype == np.int64 and a.shape == (small_tokens, 1, 1):
            b = np.arange(tokens).reshape(tokens, 1, 1)
        elif a.dtype == np.int64 and a.shape == (2, 1):
            b = np.arange(HEADS).reshape(HEADS, 1)
        elif a.dtype == np.int64 and a.shape == (32,):
            b = np.arange(HEAD_DIM)
        elif a.dtype == np.float16:
            tensor.CopyFrom(helper.make_tensor('', TensorProto.BFLOAT16, a.shape, a.astype(np.float32).flatten()))
        if b is not None:
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(b)))

    for value in [*g.input, *g.output]:
        kind = value.type.tensor_type
        kind.elem_type = bf16(kind.elem_type)
        shape = [d.dim_value for d in kind.shape.dim]
        name = 'hidden_states' if value in g.output else value.name
        if len(shape) > 1:
            for d, s in zip(kind.shape.dim, scaled(shape, name)):
                d.dim_value = s
    del g.value_info[:]

    if args.rope == 'concat':
        concat_rope(g, helper, numpy_helper, tokens, 2 * args.blocks)
        prune(g)
    finish(model, out, plan, {'weights.bin': weights, 'zeros.bin': zeros})
    print(f'{out}: {tokens} tokens, {len(g.node)} nodes, {weights / 1e9:.2f} GB of weights')


def leave_out_second_block(g):
    """What read the second block's output reads the first's."""
    produced = {o: n for n in g.node for o in n.output}
    second = {o for n in g.node if '/blocks.1/' in n.name for o in n.output}
    entry = next(
        i for n in g.node if '/blocks.1/norm1' in n.name or n.name == '/blocks.1/Cast' for i in n.input
        if i in produced and '/blocks.0/' in produced[i].name and 'attn' not in produced[i].name
    )
    leave = [n for n in g.node if '/blocks.1/' not in n.name and any(i in second for i in n.input)]
    left = {i for n in leave for i in n.input if i in second}
    if len(left) != 1:
        raise SystemExit(f'the second block is left by {left}')
    for n in leave:
        for k, i in enumerate(n.input):
            if i in second:
                n.input[k] = entry
    prune(g)


def concat_rope(g, helper, numpy_helper, tokens, expected):
    """ScatterND(ScatterND(zeros, even, a), odd, b) becomes Reshape(Concat(a, b))."""
    produced = {o: n for n in g.node for o in n.output}
    done = 0
    for n in list(g.node):
        inner = produced.get(n.input[0]) if n.op_type == 'ScatterND' else None
        if inner is None or inner.op_type != 'ScatterND':
            continue
        name, at = n.output[0], list(g.node).index(n)
        axis, shape = name + '.axis', name + '.shape'
        g.initializer.append(numpy_helper.from_array(np.array([-1]), axis))
        g.initializer.append(numpy_helper.from_array(np.array([1, tokens, HEADS, HEAD_DIM]), shape))
        new = [
            helper.make_node('Unsqueeze', [inner.input[2], axis], [name + '.a'], name=name + '/Unsqueeze'),
            helper.make_node('Unsqueeze', [n.input[2], axis], [name + '.b'], name=name + '/Unsqueeze_1'),
            helper.make_node('Concat', [name + '.a', name + '.b'], [name + '.ab'], name=name + '/Concat', axis=-1),
            helper.make_node('Reshape', [name + '.ab', shape], [name], name=name + '/Reshape'),
        ]
        g.node.remove(n)
        for k, node in enumerate(new):
            g.node.insert(at + k, node)
        done += 1
    if done != expected:
        raise SystemExit(f'{done} pairs of ScatterND where {expected} were expected')


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = p.add_subparsers(required=True)
    c = commands.add_parser('graph')
    c.add_argument('export')
    c.add_argument('out')
    c.add_argument('--blocks', type=int, choices=[1, 2], default=1)
    c.add_argument('--frames', type=int, default=21)
    c.add_argument('--rope', choices=['scatter', 'concat'], default='scatter')
    c.set_defaults(run=graph)
    c = commands.add_parser('weights')
    c.add_argument('out')
    c.set_defaults(run=lambda given: fill(given.out))
    args = p.parse_args()
    args.run(args)


if __name__ == '__main__':
    main()
