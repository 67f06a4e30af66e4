#!/usr/bin/env python3
"""Writes the test bundle fixture/: see README.md beside this file. Standard library only."""

import hashlib
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent / "fixture"
F32, INT32, INT64, BOOL, F16 = 1, 6, 7, 9, 10
NAMES = {F32: "f32", INT32: "i32", F16: "f16"}
SITES = 2


# --- protobuf: field numbers are those of onnx.proto ---
def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def num(field, value):
    return varint(field << 3) + varint(value)


def sub(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


# --- ONNX ---
def attribute(name, value):
    if isinstance(value, int):
        return sub(5, sub(1, name) + num(3, value) + num(20, 2))
    return sub(5, sub(1, name) + sub(5, value) + num(20, 4))


def tensor(name, kind, dims, raw):
    return b"".join(num(1, d) for d in dims) + num(2, kind) + sub(8, name) + sub(9, raw)


def external(name, kind, dims, location, length):
    entries = {"location": location, "offset": "0", "length": str(length)}
    return (b"".join(num(1, d) for d in dims) + num(2, kind) + sub(8, name) + num(14, 1)
            + b"".join(sub(13, sub(1, k) + sub(2, v)) for k, v in entries.items()))


def value(name, kind, dims):
    shape = b"".join(sub(1, num(1, d) if isinstance(d, int) else sub(2, d)) for d in dims)
    return sub(1, name) + sub(2, sub(1, num(1, kind) + sub(2, shape)))


class Graph:
    def __init__(self):
        self.nodes, self.initializers, self.inputs, self.outputs = [], [], [], []

    def op(self, kind, inputs, output="", **attributes):
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(b"".join(sub(1, i) for i in inputs) + sub(2, output) + sub(4, kind)
                          + b"".join(attribute(k, v) for k, v in attributes.items()))
        return output

    def const(self, name, kind, dims, raw):
        self.initializers.append(tensor(name, kind, dims, raw))
        return name

    def int32(self, n):
        return self.const(f"c{len(self.initializers)}", INT32, [], struct.pack("<i", n))

    def bytes(self):
        graph = (b"".join(sub(1, n) for n in self.nodes) + sub(2, "fixture")
                 + b"".join(sub(5, t) for t in self.initializers)
                 + b"".join(sub(11, value(*v)) for v in self.inputs)
                 + b"".join(sub(12, value(*v)) for v in self.outputs))
        return num(1, 8) + sub(2, "make_fixture.py") + sub(7, graph) + sub(8, sub(1, "") + num(2, 17))


def site(g, i, y, state):
    """One site; returns y plus what the site adds."""
    def carried(name, kind, dims):
        pair = (f"state.s{i}.{name}", f"next.s{i}.{name}")
        g.inputs.append((pair[0], kind, dims))
        g.outputs.append((pair[1], kind, dims))
        state.append({"site": i, "name": name, "input": pair[0], "output": pair[1],
                      "type": NAMES[kind], "dims": dims})
        return pair

    index = g.const(f"index{i}", INT64, [], struct.pack("<q", i))
    code = g.op("Gather", ["action", index], axis=0)
    four = g.int32(4)
    cold = g.op("Not", [g.op("Less", [code, four])])
    base = g.op("Mod", [code, four])
    one, two = g.int32(1), g.int32(2)
    plans = g.op("Or", [g.op("Equal", [base, one]), g.op("Equal", [base, two])])
    sparse = g.op("Not", [g.op("Less", [base, two])])
    # acc: the sum of all x that were planned with.
    acc, next_acc = carried("acc", F32, ["batch", 4])
    zero = g.const(f"zero{i}", F32, [], struct.pack("<f", 0))
    warm = g.op("Where", [cold, zero, acc])
    g.op("Where", [plans, g.op("Add", [warm, "x"]), acc], next_acc)
    # keep: how often it was planned since the cold plan, in the last plan's place.
    keep, next_keep = carried("keep", INT32, ["batch", 1])
    zero_int = g.int32(0)
    planned = g.op("Add", [g.op("Where", [cold, zero_int, keep]), one])
    g.op("Where", [plans, planned, keep], next_keep)
    # order: a state of no elements, as the natural order is.
    order, next_order = carried("order", INT32, ["batch", 0])
    g.op("Identity", [order], next_order)
    # What the site adds when sparse: (i + 1) * (next acc + 100 * next keep).
    hundred = g.const(f"hundred{i}", F32, [], struct.pack("<f", 100))
    factor = g.const(f"factor{i}", F32, [], struct.pack("<f", i + 1))
    kept = g.op("Mul", [g.op("Cast", [next_keep], to=F32), hundred])
    added = g.op("Mul", [g.op("Add", [next_acc, kept]), factor])
    return g.op("Add", [y, g.op("Where", [sparse, added, zero])])


def main():
    HERE.mkdir(exist_ok=True)
    g, state = Graph(), []
    g.inputs += [("x", F32, ["batch", 4]), ("scale", F32, [])]
    g.outputs += [("y", F32, ["batch", 4]), ("twice", F32, ["2*batch", 4]),
                  ("half", F16, ["batch", 4])]
    weights = struct.pack("<4f", 1, 2, 3, 4)
    g.initializers.append(external("bias", F32, [4], "weights/bias.bin", len(weights)))
    y = g.op("Add", [g.op("Mul", ["x", "scale"]), "bias"])
    g.inputs.append(("action", INT32, [SITES]))
    for i in range(SITES):
        y = site(g, i, y, state)
    g.op("Identity", [y], "y")
    g.op("Concat", [y, y], "twice", axis=0)
    g.op("Cast", [y], "half", to=F16)
    model = g.bytes()

    (HERE / "weights").mkdir(exist_ok=True)
    (HERE / "weights" / "bias.bin").write_bytes(weights)
    (HERE / "model.onnx").write_bytes(model)

    def listed(values):
        return [{"name": n, "type": NAMES[k], "dims": d} for n, k, d in values]

    bundle = {
        "schemaVersion": 1,
        "compiler": {"name": "make_fixture.py", "version": "1"},
        "source": {"file": "model.onnx", "sha256": ""},
        "model": {"file": "model.onnx", "sha256": hashlib.sha256(model).hexdigest(),
                  "irVersion": 8, "opset": 17},
        "weights": [{"file": "weights/bias.bin", "bytes": len(weights), "mode": "copy"}],
        "geometry": {"frames": 1, "height": 2, "width": 2, "textTokens": 0, "textPosition": "none"},
        "method": {"name": "svg2", "settings": {}},
        "sites": [{"index": i, "id": f"blocks.{i}.attn1", "kind": "self", "heads": 1, "headDim": 1,
                   "tokens": 4, "scale": 1.0} for i in range(SITES)],
        "denseSites": [],
        "action": {"input": "action", "sites": SITES},
        "state": state,
        "inputs": listed(g.inputs[:2]),
        "outputs": listed(g.outputs[:3]),
        "schedule": {"steps": 10, "denseWarmup": 0.2, "replanInterval": 2,
                     "planDuringWarmup": False},
    }
    (HERE / "bundle.json").write_text(json.dumps(bundle, indent=2) + "\n")


main()
