"""HunyuanVideo's double and single block at full size, in the very graph that the exporter wrote.

Takes a small export (testdata/zoo/hunyuanvideo-ts17-static: one double block, one single block and one
of the text refiner, 2 heads x 32, f32) and gives all weights, constants and inputs the sizes of
HunyuanVideo at 720p: 24 heads x 128, MLP 12,288, 33 x 45 x 80 video and 256 text tokens, 119,056
together. Types become what PyTorch computes for a model in bf16: the statistics of the RMS norms, the
rotary embedding and the sinusoids in f32, all else in bf16.

usage: hunyuan_blocks.py graph EXPORT.onnx OUTDIR [--frames N] [--unmasked]
       hunyuan_blocks.py weights OUTDIR

graph    writes OUTDIR/model.onnx, OUTDIR/weights.json and, as holes that take no space, the weight
         file: enough for sparsify-model compile --verify none. --unmasked leaves out the mask of text
         keys in both blocks: the same numbers where a prompt has all its text tokens.
weights  fills the weight file with random numbers (needs torch), where the model is to run.
"""

import argparse
import pathlib

import numpy as np
from resize import external, fill, finish, prune

HEADS, HEAD_DIM, MLP, CHANNELS = 24, 128, 12288, 16
HIDDEN = HEADS * HEAD_DIM
TEXT, TEXT_DIM, POOLED = 256, 4096, 768
HEIGHT, WIDTH = 45, 80
ROPE, THETA = (16, 56, 56), 256.0
SMALL_TOKENS, SMALL_TEXT = 4 * 8 * 6, 24


def inputs(frames):
    return {
        'hidden_states': [1, CHANNELS, frames, 2 * HEIGHT, 2 * WIDTH],
        'encoder_hidden_states': [1, TEXT, TEXT_DIM],
        'encoder_attention_mask': [1, TEXT],
        'pooled_projections': [1, POOLED],
    }


def weight_shape(name, shape, readers):
    """The full-size shape of a weight; who reads it tells what a bare matrix is."""
    if name == 'x_embedder.proj.weight':
        return [HIDDEN, CHANNELS, 1, 2, 2]
    if name.endswith('timestep_embedder.linear_1.weight') or name.endswith('guidance_embedder.linear_1.weight'):
        return [HIDDEN, 256]
    if name.endswith('text_embedder.linear_1.weight'):
        return [HIDDEN, TEXT_DIM if name.startswith('context_embedder') else POOLED]
    if '/context_embedder/proj_in/MatMul' in readers:
        return [TEXT_DIM, HIDDEN]
    if name == 'proj_out.bias' or '/proj_out/MatMul' in readers:
        return [HIDDEN, 4 * CHANNELS][-len(shape):]
    if '/single_transformer_blocks.0/proj_out/MatMul' in readers:
        return [HIDDEN + MLP, HIDDEN]
    # The small model has hidden 64, MLP 128 and heads of 32, and modulations of 2, 3 and 6 times 64.
    mlp = any(part in text for part in ('/ff', '.ff', 'proj_mlp') for text in (name, *readers))
    sizes = {64: HIDDEN, 32: HEAD_DIM, 128: MLP if mlp else 2 * HIDDEN, 192: 3 * HIDDEN, 256: MLP, 384: 6 * HIDDEN}
    return [sizes[size] for size in shape]


def resized(a, frames):
    """The full-size constant that stands where a small one stood, or None where it stays."""
    tokens = frames * HEIGHT * WIDTH
    values = tuple(a.flatten().tolist()) if a.size < 10 else ()
    if a.dtype == np.int64 and a.ndim == 1:
        vectors = {
            (4, 8, 6): [frames, HEIGHT, WIDTH],
            (1, 4, 8, 6, -1, 1, 2, 2): [1, frames, HEIGHT, WIDTH, -1, 1, 2, 2],
            (1, 1, 1, SMALL_TEXT): [1, 1, 1, TEXT],
            (1, 1, SMALL_TEXT, 1): [1, 1, TEXT, 1],
            (1, 2, 1, 1, 1): [1, HEADS, 1, 1, 1],
            (1, 2, -1, SMALL_TEXT): [1, HEADS, -1, TEXT],
            (1, -1, 2, 32): [1, -1, HEADS, HEAD_DIM],
            (1, -1, 64): [1, -1, HIDDEN],
            (2, -1): [HEADS, -1],
            (1, SMALL_TOKENS, 2, -1, 2): [1, tokens, HEADS, -1, 2],
            (-SMALL_TEXT,): [-TEXT],
        }
        return np.array(vectors[values], np.int64) if values in vectors else None
    if a.dtype == np.int64 and a.shape == (SMALL_TEXT, 1):
        return np.arange(TEXT).reshape(TEXT, 1)
    if a.dtype == np.int64 and a.shape == (1, SMALL_TOKENS + SMALL_TEXT):
        return np.arange(tokens + TEXT).reshape(1, -1)
    if a.dtype == bool and a.shape == (1, SMALL_TOKENS + SMALL_TEXT):
        return np.ones((1, tokens + TEXT), bool)
    if a.dtype == np.int32 and a.shape == () and a == SMALL_TOKENS:
        return np.array(tokens, np.int32)
    if a.dtype == np.float32 and a.ndim == 3:
        axis = a.shape.index(a.size)
        length = (frames, HEIGHT, WIDTH)[axis]
        return np.arange(length, dtype=np.float32).reshape([length if i == axis else 1 for i in range(3)])
    if a.dtype == np.float32 and a.shape in ((4,), (6,)):
        part = ROPE[0] if a.shape == (4,) else ROPE[1]
        return (THETA ** (-np.arange(0, part, 2) / part)).astype(np.float32)
    if a.dtype == np.float32 and a.shape == (64,):
        return np.full(HIDDEN, a[0], np.float32)
    return None


def graph(args):
    import onnx
    from onnx import TensorProto, numpy_helper

    model = onnx.load(args.export)
    g = model.graph
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    readers = {}
    for n in g.node:
        for i in n.input:
            readers.setdefault(i, []).append(n.name)

    plan, offset = [], 0
    for initial in g.initializer:
        shape = weight_shape(initial.name, list(initial.dims), readers.get(initial.name, []))
        count = int(np.prod(shape))
        initial.CopyFrom(TensorProto(name=initial.name, dims=shape, data_type=TensorProto.BFLOAT16))
        external(initial, 'weights.bin', offset, 2 * count)
        ones = 'norm_' in initial.name or ('norm' in initial.name and initial.name.endswith('weight') and len(shape) == 1)
        matrix = initial.name.startswith('onnx::')
        plan.append(dict(name=initial.name, offset=offset, count=count, type='bf16',
                         fan=(shape[0] if matrix else int(np.prod(shape[1:]))) if len(shape) > 1 else 0,
                         ones=bool(ones and 'linear' not in initial.name)))
        offset = (offset + 2 * count + 4095) // 4096 * 4096

    for n in g.node:
        if n.op_type == 'Constant':
            bigger = resized(numpy_helper.to_array(n.attribute[0].t), args.frames)
            if bigger is not None:
                n.attribute[0].t.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(bigger)))
    full = inputs(args.frames)
    for value in [*g.input, *g.output]:
        kind = value.type.tensor_type
        if kind.elem_type == TensorProto.FLOAT:
            kind.elem_type = TensorProto.BFLOAT16
        shape = full.get('hidden_states' if value in g.output else value.name)
        if shape:
            for d, size in zip(kind.shape.dim, shape):
                d.dim_value = size
    del g.value_info[:]
    if args.unmasked:
        unmask(g)
    to_bf16(g)
    finish(model, out, plan, {'weights.bin': offset})
    tokens = args.frames * HEIGHT * WIDTH + TEXT
    print(f'{out}: {tokens} tokens, {len(g.node)} nodes, {offset / 1e9:.2f} GB of weights')


def unmask(g):
    """Softmax(scores + mask) becomes Softmax(scores) in the double and the single block."""
    sums = {n.output[0]: n.input[0] for n in g.node if n.op_type == 'Add'}
    for n in g.node:
        if n.op_type == 'Softmax' and 'transformer_blocks' in n.name:
            n.input[0] = sums[n.input[0]]
    prune(g)


def to_bf16(g):
    """The types of an f32 export become those of a bf16 one, casts included.

    Positions, frequencies and sinusoids stay f32, and so does what a cast of the original made f32
    for a norm or the rotary embedding; the cast back to the model's type becomes one to bf16. Where
    both types meet, PyTorch's rules hold: the product with a norm's weight is bf16, any other f32.
    """
    from onnx import TensorProto, helper, numpy_helper

    f32, bf16 = TensorProto.FLOAT, TensorProto.BFLOAT16
    weights = {i.name for i in g.initializer}
    types = {name: bf16 for name in weights}
    types |= {i.name: i.type.tensor_type.elem_type for i in g.input}
    consumers, constants = {}, {}
    for n in g.node:
        for i in n.input:
            consumers.setdefault(i, []).append(n)
        if n.op_type == 'Constant':
            constants[n.output[0]] = n
            types[n.output[0]] = n.attribute[0].t.data_type
    casts = {}

    def cast(value, kind, before):
        """A cast, made once; `before` gets the nodes that are new."""
        name = f'{value}.{"f32" if kind == f32 else "bf16"}'
        if name not in casts:
            casts[name] = helper.make_node('Cast', [value], [name], name=name, to=kind)
            types[name] = kind
            before.append(casts[name])
        return name

    def constant(value, kind, before):
        """A copy of a constant in another type."""
        name = f'{value}.{kind}'
        if name not in types:
            a = numpy_helper.to_array(constants[value].attribute[0].t)
            tensor = helper.make_tensor('', kind, a.shape, a.astype(np.float32).flatten())
            before.append(helper.make_node('Constant', [], [name], name=name, value=tensor))
            types[name] = kind
        return name

    nodes = []
    for n in g.node:
        floats = [i for i in n.input if types.get(i) in (f32, bf16)]
        own = [i for i in floats if i not in constants]
        if n.op_type == 'Cast' and n.attribute[0].i == f32:
            source = types.get(n.input[0])
            statistics = all(c.op_type in ('Pow', 'Mul') for c in consumers.get(n.output[0], []))
            rope = '/rope/' in n.name or any('/rope/' in i for i in ancestors(g, n.input[0], 2))
            back = (source == f32 and not rope) or (source == bf16 and not statistics)
            n.attribute[0].i = bf16 if back else f32
            types[n.output[0]] = n.attribute[0].i
        elif floats:
            kind = f32 if any(types[i] == f32 for i in own) else bf16
            if not own:
                kind = f32 if n.op_type in ('Expand', 'Unsqueeze') else bf16
            if n.op_type == 'Mul' and kind == f32 and any(i in weights for i in own):
                kind = bf16
            for k, i in enumerate(n.input):
                if i in floats and types[i] != kind:
                    n.input[k] = constant(i, kind, nodes) if i in constants else cast(i, kind, nodes)
            for o in n.output:
                types[o] = kind
            if n.op_type in ('Shape',):
                types[n.output[0]] = TensorProto.INT64
            elif n.op_type in ('IsNaN',):
                types[n.output[0]] = TensorProto.BOOL
        elif n.op_type == 'Cast':
            types[n.output[0]] = n.attribute[0].i
        elif n.op_type != 'Constant':
            kinds = [types[i] for i in n.input if i in types]
            logical = n.op_type in ('Equal', 'GreaterOrEqual', 'Not', 'And')
            shape = n.op_type in ('Shape', 'ConstantOfShape')
            types[n.output[0]] = (TensorProto.BOOL if logical else TensorProto.INT64 if shape
                                  else kinds[1] if n.op_type == 'Where' else kinds[0])
        nodes.append(n)
    for output in g.output:
        if types[output.name] != output.type.tensor_type.elem_type:
            raise SystemExit(f'{output.name} came out as type {types[output.name]}')
    del g.node[:]
    g.node.extend(nodes)


def ancestors(g, value, depth):
    """The names of values up to so many nodes above a value, itself included."""
    found, level = {value}, {value}
    for _ in range(depth):
        level = {i for n in g.node if set(n.output) & level for i in n.input}
        found |= level
    return found


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = p.add_subparsers(required=True)
    c = commands.add_parser('graph')
    c.add_argument('export')
    c.add_argument('out')
    c.add_argument('--frames', type=int, default=33)
    c.add_argument('--unmasked', action='store_true')
    c.set_defaults(run=graph)
    c = commands.add_parser('weights')
    c.add_argument('out')
    c.set_defaults(run=lambda given: fill(given.out))
    args = p.parse_args()
    args.run(args)


if __name__ == '__main__':
    main()
