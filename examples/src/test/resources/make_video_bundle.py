"""Writes the test bundle video/: a "model" of 4 frames of 16 x 16 whose velocity is its latents plus the mean of the
condition; in sparse steps it is 2 % larger. Needs the onnx package: python make_video_bundle.py
"""
import hashlib
import json
import pathlib

import onnx
from onnx import TensorProto, helper

folder = pathlib.Path(__file__).parent / "video"
video, tokens = [1, 3, 4, 16, 16], [1, 4, 64]


def value(name, dims, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, dims)


def constant(name, kind, values):
    return helper.make_tensor(name, kind, [len(values)], values)


graph = helper.make_graph(
    [
        helper.make_node("ReduceMean", ["encoder_hidden_states"], ["mean"], keepdims=0),
        helper.make_node("Add", ["hidden_states", "mean"], ["dense"]),
        helper.make_node("Mod", ["action", "four"], ["code"]),  # without COLD
        helper.make_node("Greater", ["code", "one"], ["sparse"]),
        helper.make_node("Cast", ["sparse"], ["sparse_f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["sparse_f", "error"], ["gain"]),
        helper.make_node("Mul", ["dense", "gain"], ["extra"]),
        helper.make_node("Add", ["dense", "extra"], ["velocity"]),
        helper.make_node("Add", ["state.s0.count", "timestep"], ["next.s0.count"]),
    ],
    "video",
    [value("hidden_states", video), value("timestep", [1]), value("encoder_hidden_states", tokens),
     value("action", [1], TensorProto.INT32), value("state.s0.count", [1])],
    [value("velocity", video), value("next.s0.count", [1])],
    [constant("one", TensorProto.INT32, [1]), constant("four", TensorProto.INT32, [4]),
     constant("error", TensorProto.FLOAT, [.02])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="")
onnx.checker.check_model(model)
data = model.SerializeToString()
folder.mkdir(exist_ok=True)
(folder / "model.onnx").write_bytes(data)


def described(name, dims):
    return {"name": name, "type": "f32", "dims": dims}


bundle = {
    "schemaVersion": 1,
    "compiler": {"name": "make_video_bundle.py", "version": "1"},
    "source": {"file": "model.onnx", "sha256": ""},
    "model": {"file": "model.onnx", "sha256": hashlib.sha256(data).hexdigest(), "irVersion": 8, "opset": 17},
    "weights": [],
    "geometry": {"frames": 4, "height": 16, "width": 16, "textTokens": 0, "textPosition": "none"},
    "method": {"name": "svg2", "settings": {}},
    "sites": [{"index": 0, "id": "blocks.0.attn1", "kind": "self", "heads": 1, "headDim": 1, "tokens": 1024, "scale": 1.0}],
    "denseSites": [],
    "action": {"input": "action", "sites": 1},
    "state": [{"site": 0, "name": "count", "input": "state.s0.count", "output": "next.s0.count", "type": "f32", "dims": [1]}],
    "inputs": [described("hidden_states", video), described("timestep", [1]), described("encoder_hidden_states", tokens)],
    "outputs": [described("velocity", video)],
    "schedule": {"steps": 10, "denseWarmup": 0.5, "replanInterval": 1, "planDuringWarmup": False},
}
(folder / "bundle.json").write_text(json.dumps(bundle, indent=1) + "\n")
