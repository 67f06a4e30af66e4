#!/usr/bin/env python3
"""Writes small video transformers whose attention has forms that the graphs of testdata/zoo lack.

    site_graphs.py FOLDER
    site_graphs.py FOLDER --fill MODEL.onnx ...

The graphs (f32, operator set 18, two blocks, seeded random weights) are for `sparsify-model compile` and `build`,
which compares an engine with the portable model: heads of 72 and 88 channels, grouped key heads, masks of keys,
queries, keys and values of eight bits, heads of 64 and 128 for the kernels of Hopper. With --fill instead: copies of
other models in which large weights of zeros, as testdata/zoo has them, are seeded random numbers.
"""

import argparse
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LATENT_CHANNELS = 4
PATCH = 2
LOWEST = float(np.finfo(np.float32).min)

GRAPHS = {
    "heads72": dict(head_dim=72),
    "heads88": dict(head_dim=88, batch=2),
    "heads48-plain": dict(head_dim=48, prepared=False),
    "heads64": dict(head_dim=64, video=(4, 16, 12)),
    "heads128": dict(head_dim=128, video=(5, 16, 10)),
    "gqa": dict(heads=4, key_heads=2),
    "gqa-plain": dict(heads=4, key_heads=2, prepared=False),
    "gqa-text-mask": dict(heads=4, key_heads=1, hidden=LOWEST, text=16, batch=2),
    "gqa128": dict(head_dim=128, heads=4, key_heads=2, video=(4, 8, 8)),
    "mask": dict(hidden=LOWEST, batch=2),
    "mask-text": dict(head_dim=64, hidden=-np.inf, text=24),
    "dequantised": dict(eight_bits=True),
}


class Graph:
    """Nodes and constants of one model.

    heads x head_dim: of queries; key_heads: of keys and values, which are repeated; video: frames, rows and columns
    of tokens; text: tokens behind them; hidden: what a mask of keys adds where a key does not count, None for no
    mask; prepared: whether queries and keys have RMSNorm a head and interleaved rotary embedding.
    """

    def __init__(self, name, head_dim=32, heads=2, key_heads=None, video=(4, 8, 6), text=0, batch=1, hidden=None,
                 prepared=True, eight_bits=False):
        self.name, self.head_dim, self.heads, self.key_heads = name, head_dim, heads, key_heads or heads
        self.video, self.text, self.batch, self.hidden = video, text, batch, hidden
        self.prepared, self.eight_bits = prepared, eight_bits
        self.width, self.tokens = heads * head_dim, int(np.prod(video)) + text
        self.random = np.random.default_rng(sum(map(ord, name)))
        self.nodes, self.constants = [], []

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def number(self, value):
        return self.constant(np.float32(value))

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def op(self, kind, *inputs, **attributes):
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def weight(self, *shape):
        reads = shape[0] if len(shape) == 2 else np.prod(shape[1:])
        return self.constant((self.random.standard_normal(shape) / np.sqrt(reads)).astype(np.float32))

    def near(self, value, size):
        return self.constant((value + 0.1 * self.random.standard_normal(size)).astype(np.float32))

    def linear(self, x, reads, writes):
        return self.op("Add", self.op("MatMul", x, self.weight(reads, writes)), self.near(0, writes))

    def reshape(self, x, *shape):
        return self.op("Reshape", x, self.ints(*shape))

    def layer_norm(self, x):
        ones, zeros = np.ones(self.width, np.float32), np.zeros(self.width, np.float32)
        return self.op("LayerNormalization", x, self.constant(ones), self.constant(zeros), axis=-1)

    def rms_norm(self, x):
        square = self.op("ReduceMean", self.op("Pow", x, self.number(2)), self.ints(-1), keepdims=1)
        root = self.op("Sqrt", self.op("Add", square, self.number(1e-6)))
        return self.op("Mul", self.op("Mul", x, self.op("Reciprocal", root)), self.near(1, self.head_dim))

    def tables(self):
        """Cosines and sines [1,S,1,D/2]: each pair turns with one axis of the video, text does not."""
        places = np.stack(np.meshgrid(*map(np.arange, self.video), indexing="ij"), -1).reshape(-1, 3)
        angles = np.zeros((self.tokens, self.head_dim // 2), np.float32)
        for pair in range(self.head_dim // 2):
            angles[: len(places), pair] = places[:, pair % 3] * 100.0 ** (-(pair // 3) / (self.head_dim / 6))
        return tuple(self.constant(f(angles)[None, :, None, :].astype(np.float32)) for f in (np.cos, np.sin))

    def rotary(self, x, heads, tables):
        pairs = self.reshape(x, self.batch, self.tokens, heads, self.head_dim // 2, 2)
        last = self.ints(4)
        a, b = (
            self.op("Squeeze", self.op("Slice", pairs, self.ints(i), self.ints(i + 1), last), last) for i in (0, 1)
        )
        cos, sin = tables
        left = self.op("Sub", self.op("Mul", a, cos), self.op("Mul", b, sin))
        right = self.op("Add", self.op("Mul", a, sin), self.op("Mul", b, cos))
        turned = self.op("Concat", self.op("Unsqueeze", left, last), self.op("Unsqueeze", right, last), axis=4)
        return self.reshape(turned, self.batch, self.tokens, heads, self.head_dim)

    def projected(self, x, heads, tables):
        """[B,S,C] to [B,H,S,D]."""
        y = self.linear(x, self.width, heads * self.head_dim)
        y = self.reshape(y, self.batch, self.tokens, heads, self.head_dim)
        if tables:
            y = self.rotary(self.rms_norm(y), heads, tables)
        y = self.op("Transpose", y, perm=[0, 2, 1, 3])
        if self.eight_bits:
            scale, zero = self.number(0.02), self.constant(np.int8(0))
            y = self.op("DequantizeLinear", self.op("QuantizeLinear", y, scale, zero), scale, zero)
        if heads == self.heads:
            return y
        rows = (self.tokens, self.head_dim)
        each = self.op("Unsqueeze", y, self.ints(2))
        repeated = self.op("Expand", each, self.ints(self.batch, heads, self.heads // heads, *rows))
        return self.reshape(repeated, self.batch, self.heads, *rows)

    def attention(self, x, tables, mask):
        q = self.projected(x, self.heads, tables)
        k = self.projected(x, self.key_heads, tables)
        v = self.projected(x, self.key_heads, None)
        scores = self.op("MatMul", q, self.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = self.op("Mul", scores, self.number(self.head_dim**-0.5))
        if mask:
            scores = self.op("Add", scores, mask)
        heads = self.op("Transpose", self.op("MatMul", self.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
        return self.linear(self.reshape(heads, self.batch, self.tokens, self.width), self.width, self.width)

    def model(self):
        frames, rows, columns = self.video
        latents = [self.batch, LATENT_CHANNELS, frames, rows * PATCH, columns * PATCH]
        inputs = [helper.make_tensor_value_info("latents", TensorProto.FLOAT, latents)]
        kernel = self.weight(self.width, LATENT_CHANNELS, 1, PATCH, PATCH)
        patches = self.op("Conv", "latents", kernel, self.near(0, self.width), strides=[1, PATCH, PATCH])
        x = self.op("Transpose", self.reshape(patches, self.batch, self.width, -1), perm=[0, 2, 1])
        if self.text:
            shape = [self.batch, self.text, self.width]
            inputs.append(helper.make_tensor_value_info("text", TensorProto.FLOAT, shape))
            x = self.op("Concat", x, "text", axis=1)
        mask = None
        if self.hidden is not None:
            inputs.append(helper.make_tensor_value_info("mask", TensorProto.BOOL, [self.batch, self.tokens]))
            kept = self.op("Unsqueeze", "mask", self.ints(1, 2))
            mask = self.op("Where", kept, self.number(0), self.number(self.hidden))
        tables = self.tables() if self.prepared else None
        for _ in range(2):
            x = self.op("Add", x, self.attention(self.layer_norm(x), tables, mask))
            hidden = self.linear(self.layer_norm(x), self.width, 2 * self.width)
            gated = self.op("Mul", hidden, self.op("Sigmoid", hidden))
            x = self.op("Add", x, self.linear(gated, 2 * self.width, self.width))
        if self.text:
            x = self.op("Slice", x, self.ints(0), self.ints(self.tokens - self.text), self.ints(1))
        pixels = self.linear(x, self.width, PATCH * PATCH * LATENT_CHANNELS)
        pixels = self.reshape(pixels, self.batch, frames, rows, columns, PATCH, PATCH, LATENT_CHANNELS)
        pixels = self.op("Transpose", pixels, perm=[0, 6, 1, 2, 4, 3, 5])
        self.nodes.append(helper.make_node("Reshape", [pixels, self.ints(*latents)], ["sample"], "unpatchify"))
        outputs = [helper.make_tensor_value_info("sample", TensorProto.FLOAT, latents)]
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        return model


def fill(model):
    """Large weights of zeros become random, of deviation one over the root of the smaller of their first two sizes."""
    random = np.random.default_rng(11)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype in (np.float16, np.float32) and values.ndim >= 2 and values.size > 500 and not values.any():
            scale = 1 / np.sqrt(min(values.shape[:2]))
            filled = (random.standard_normal(values.shape) * scale).astype(values.dtype)
            tensor.CopyFrom(numpy_helper.from_array(filled, tensor.name))
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--fill", nargs="+", type=pathlib.Path, metavar="MODEL")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.fill:
        for source in arguments.fill:
            name = f"{source.parent.name}.onnx" if source.stem == "model" else source.name
            onnx.save(fill(onnx.load(source)), arguments.folder / name)
    else:
        for name, form in GRAPHS.items():
            onnx.save(Graph(name, **form).model(), arguments.folder / f"{name}.onnx")


if __name__ == "__main__":
    main()
