#!/usr/bin/env python3
"""Writes one attention under a mask of keys in two forms, and inputs for it, to be timed with trtexec.

    masked_attention.py FOLDER [--tokens 32768] [--heads 24] [--head-dim 128] [--masked 200]

standard.onnx is the form that exporters write and TensorRT makes one kernel of, plugin.onnx the call of
BlockSparseAttention that `sparsify-model build --masked-attention plugin` makes of it (f16, [1,S,H,D], the last
keys masked). Then, in FOLDER, with PLUGINS for libsparsedit_plugins.so:

    for form in standard plugin; do
      trtexec --onnx=$form.onnx --stronglyTyped --dynamicPlugins=PLUGINS --saveEngine=$form.plan --skipInference
      trtexec --loadEngine=$form.plan --dynamicPlugins=PLUGINS --loadInputs=q:q,k:k,v:v,valid:valid \\
          --noDataTransfers --useSpinWait --warmUp=100 --duration=1
    done
"""

import argparse
import pathlib

import numpy as np
from onnx import TensorProto, helper, save

F16, F32, I32 = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.INT32


def bias(kind, tokens):
    """Nodes and constants of a bias that is -inf from key `valid` on."""
    return [
        helper.make_node("Less", ["positions", "valid"], ["kept"]),
        helper.make_node("Where", ["kept", "zero", "dropped"], ["bias"]),
    ], [
        helper.make_tensor("positions", I32, [1, 1, 1, tokens], range(tokens)),
        helper.make_tensor("zero", kind, [], [0.0]),
        helper.make_tensor("dropped", kind, [], [float("-inf")]),
    ]


def standard(tokens, head_dim):
    nodes, constants = bias(F16, tokens)
    for name, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes.append(helper.make_node("Transpose", [name], [name + "t"], perm=perm))
    nodes += [
        helper.make_node("Mul", ["qt", "root"], ["qs"]),
        helper.make_node("Mul", ["kt", "root"], ["ks"]),
        helper.make_node("MatMul", ["qs", "ks"], ["scores"]),
        helper.make_node("Add", ["scores", "bias"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "vt"], ["ot"]),
        helper.make_node("Transpose", ["ot"], ["o"], perm=[0, 2, 1, 3]),
    ]
    return nodes, constants + [helper.make_tensor("root", F16, [], [head_dim**-0.25])]


def plugin(tokens, heads, head_dim):
    nodes, constants = bias(F32, tokens)
    constants += [
        helper.make_tensor("order", I32, [1, heads, 0], []),
        helper.make_tensor("offsets", I32, [1, heads, 2], [0, tokens] * heads),
        helper.make_tensor("keep", I32, [1, heads, 1, 1], [1] * heads),
        helper.make_tensor("dense", I32, [1], [0]),
    ]
    inputs = ["q", "k", "v", "order", "order", "offsets", "offsets", "keep", "bias", "dense"]
    nodes.append(
        helper.make_node(
            "BlockSparseAttention", inputs, ["o"], domain="sparsedit", site=0,
            scale=head_dim**-0.5, layout="BSHD", compensate=0, plugin_namespace="sparsedit",
            plugin_version="1"))
    return nodes, constants


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("--tokens", type=int, default=32768)
    p.add_argument("--heads", type=int, default=24)
    p.add_argument("--head-dim", type=int, default=128)
    p.add_argument("--masked", type=int, default=200)
    args = p.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    shape = [1, args.tokens, args.heads, args.head_dim]
    random = np.random.default_rng(0)
    for name in "qkv":
        random.standard_normal(shape, dtype=np.float32).astype(np.float16).tofile(args.folder / name)
    np.array([args.tokens - args.masked], np.int32).tofile(args.folder / "valid")
    forms = {
        "standard": standard(args.tokens, args.head_dim),
        "plugin": plugin(args.tokens, args.heads, args.head_dim),
    }
    for form, (nodes, constants) in forms.items():
        inputs = [helper.make_tensor_value_info(name, F16, shape) for name in "qkv"]
        inputs.append(helper.make_tensor_value_info("valid", I32, [1, 1, 1, 1]))
        outputs = [helper.make_tensor_value_info("o", F16, shape)]
        graph = helper.make_graph(nodes, form, inputs, outputs, constants)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("sparsedit", 1)]
        save(helper.make_model(graph, opset_imports=opsets, ir_version=8), args.folder / (form + ".onnx"))


if __name__ == "__main__":
    main()
