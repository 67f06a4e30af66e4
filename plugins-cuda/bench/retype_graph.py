#!/usr/bin/env python3
"""Gives an ONNX model of 16-bit floats another float type.

    retype_graph.py IN.onnx OUT.onnx bf16|f32

`bf16` makes the same graph in bfloat16, which exporters write less often than float16. `f32` makes its
reference: the same graph in float32 with the weights that the bfloat16 model has. Weights are rounded to
bfloat16, to the nearest, in both.
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper


def bf16_bits(values):
    """bfloat16, as uint16, nearest to each float32; ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def retype(tensor, to):
    if tensor.data_type != TensorProto.FLOAT16:
        return
    bits = bf16_bits(numpy_helper.to_array(tensor))
    shape, name = list(tensor.dims), tensor.name
    tensor.Clear()
    tensor.dims.extend(shape)
    tensor.name = name
    tensor.data_type = to
    tensor.raw_data = (
        bits.tobytes() if to == TensorProto.BFLOAT16 else (bits.astype(np.uint32) << 16).tobytes()
    )


def retype_value(value, to):
    kind = value.type.tensor_type
    if kind.elem_type == TensorProto.FLOAT16:
        kind.elem_type = to


def retype_graph(graph, to):
    for tensor in graph.initializer:
        retype(tensor, to)
    for value in [*graph.input, *graph.output, *graph.value_info]:
        retype_value(value, to)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                retype(attribute.t, to)
            if attribute.HasField("g"):
                retype_graph(attribute.g, to)
            if attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT16:
                attribute.i = to


def main(source, target, name):
    model = onnx.load(source)
    retype_graph(model.graph, {"bf16": TensorProto.BFLOAT16, "f32": TensorProto.FLOAT}[name])
    onnx.save(model, target)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[3] not in ("bf16", "f32"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
