#!/usr/bin/env python3
"""Writes one dense attention in two forms, and inputs for it, to be timed with trtexec.

    dense_attention.py FOLDER [--tokens 75600] [--keys 512] [--heads 40] [--head-dim 128] [--type bf16] [--masked 0]

standard.onnx is the form that exporters write and TensorRT makes one kernel of, plugin.onnx the call of
BlockSparseAttention that `sparsify-model build --dense-attention plugin` makes of it (q [1,tokens,H,D], k and v
[1,keys,H,D], --keys as many as tokens if not given; the last --masked keys are masked). Then, in FOLDER, with PLUGINS
for libsparsedit_plugins.so (without valid:valid where nothing is masked):

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

F32, I32 = TensorProto.FLOAT, TensorProto.INT32
TYPES = {"f16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


def bias(kind, keys):
    """Nodes and constants of a bias that is -inf from key `valid` on."""
    return [
        helper.make_node("Less", ["positions", "valid"], ["kept"]),
        helper.make_node("Where", ["kept", "zero", "dropped"], ["bias"]),
    ], [
        helper.make_tensor("positions", I32, [1, 1, 1, keys], range(keys)),
        helper.make_tensor("zero", kind, [], [0.0]),
        helper.make_tensor("dropped", kind, [], [float("-inf")]),
    ]


def standard(args, kind):
    nodes, constants = bias(kind, args.keys) if args.masked else ([], [])
    for name, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes.append(helper.make_node("Transpose", [name], [name + "t"], perm=perm))
    nodes += [
        helper.make_node("Mul", ["qt", "root"], ["qs"]),
        helper.make_node("Mul", ["kt", "root"], ["ks"]),
        helper.make_node("MatMul", ["qs", "ks"], ["scores"]),
    ]
    if args.masked:
        nodes.append(helper.make_node("Add", ["scores", "bias"], ["masked"]))
    nodes += [
        helper.make_node("Softmax", ["masked" if args.masked else "scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "vt"], ["ot"]),
        helper.make_node("Transpose", ["ot"], ["o"], perm=[0, 2, 1, 3]),
    ]
    return nodes, constants + [helper.make_tensor("root", kind, [], [args.head_dim**-0.25])]


def plugin(args):
    nodes, constants = bias(F32, args.keys) if args.masked else ([], [])
    heads = args.heads
    constants += [
        helper.make_tensor("order", I32, [1, heads, 0], []),
        helper.make_tensor("query_offsets", I32, [1, heads, 2], [0, args.tokens] * heads),
        helper.make_tensor("key_offsets", I32, [1, heads, 2], [0, args.keys] * heads),
        helper.make_tensor("keep", I32, [1, heads, 1, 1], [1] * heads),
        helper.make_tensor("dense", I32, [1], [0]),
    ]
    inputs = ["q", "k", "v", "order", "order", "query_offsets", "key_offsets", "keep"]
    inputs += (["bias"] if args.masked else []) + ["dense"]
    nodes.append(
        helper.make_node(
            "BlockSparseAttention", inputs, ["o"], domain="sparsedit", site=0,
            scale=args.head_dim**-0.5, layout="BSHD", compensate=0, plugin_namespace="sparsedit",
            plugin_version="1"))
    return nodes, constants


def write(path, kind, values):
    if kind == "f16":
        values.astype(np.float16).tofile(path)
    else:  # the upper half of a float32, rounded to even
        bits = values.view(np.uint32)
        ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16).tofile(path)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("--tokens", type=int, default=32768)
    p.add_argument("--keys", type=int)
    p.add_argument("--heads", type=int, default=24)
    p.add_argument("--head-dim", type=int, default=128)
    p.add_argument("--type", choices=sorted(TYPES), default="f16")
    p.add_argument("--masked", type=int, default=0)
    args = p.parse_args()
    args.keys = args.keys or args.tokens
    args.folder.mkdir(parents=True, exist_ok=True)
    kind = TYPES[args.type]
    counts = {"q": args.tokens, "k": args.keys, "v": args.keys}
    shapes = {name: [1, count, args.heads, args.head_dim] for name, count in counts.items()}
    random = np.random.default_rng(0)
    for name, shape in shapes.items():
        write(args.folder / name, args.type, random.standard_normal(shape, dtype=np.float32))
    np.array([args.keys - args.masked], np.int32).tofile(args.folder / "valid")
    for form, (nodes, constants) in {"standard": standard(args, kind), "plugin": plugin(args)}.items():
        inputs = [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()]
        if args.masked:
            inputs.append(helper.make_tensor_value_info("valid", I32, [1, 1, 1, 1]))
        outputs = [helper.make_tensor_value_info("o", kind, shapes["q"])]
        graph = helper.make_graph(nodes, form, inputs, outputs, constants)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("sparsedit", 1)]
        save(helper.make_model(graph, opset_imports=opsets, ir_version=8), args.folder / (form + ".onnx"))


if __name__ == "__main__":
    main()
