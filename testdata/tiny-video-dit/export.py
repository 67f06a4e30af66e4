"""Exports the trained model to ONNX, several ways, all graphs sharing one file of fp16 weights.

    python export.py run/weights.safetensors exports

weights.safetensors in the target folder is a normal safetensors file; the graphs refer to its tensors as external
data. Linear weights are stored as [in, out], the layout of the exported MatMuls (model.load_weights undoes that).
A float32 graph reads its fp16 weights through a Cast, which ONNX Runtime folds when it loads the model, so that all
graphs compute with exactly the same numbers and differ in the precision of the arithmetic alone.
"""
import hashlib
import os
import sys
import tempfile
import warnings

import numpy as np
import onnx
import onnxscript.optimizer
import onnxscript.rewriter.onnx_fusions
import torch
from onnx import TensorProto, helper, numpy_helper

import clips
from model import load_model, load_weights, save_weights
from sample import seeded_noise

# name -> (exporter, opset, frames, computation)
EXPORTS = {
    "ts17-4096": ("ts", 17, 16, torch.float32),
    "ts17-2048": ("ts", 17, 8, torch.float32),
    "ts17-4096-fp16": ("ts", 17, 16, torch.float16),
    "dynamo20-4096": ("dynamo", 20, 16, torch.float32),
    "dynamo20-2048": ("dynamo", 20, 8, torch.float32),
    "dynamo23-4096-fp16": ("dynamo", 23, 16, torch.float16),
}
INPUTS = ("hidden_states", "timestep", "encoder_hidden_states")
OUTPUT = "velocity"
INLINE = 256            # bytes; smaller tensors stay in the graph


def example(frames, dtype, timestep=700.0):
    scene = clips.sample_scenes(1, "cpu", torch.Generator().manual_seed(5))
    tokens = clips.condition_tokens(scene)
    return seeded_noise(1, frames, 11).to(dtype), torch.tensor([timestep]), tokens.to(dtype)


def raw_export(weights, exporter, opset, frames, dtype):
    model = load_model(weights, dtype)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = os.path.join(folder, "model.onnx")
        names = dict(input_names=list(INPUTS), output_names=[OUTPUT], opset_version=opset)
        if exporter == "ts":
            torch.onnx.export(model, example(frames, dtype), path, dynamo=False, **names)
        else:
            program = torch.onnx.export(model, example(frames, dtype), dynamo=True, optimize=False, verbose=False, **names)
            # What optimize=True does, except that the RoPE tables stay behind their Expand: folded, 2 MB per graph.
            onnxscript.optimizer.optimize_ir(program.model, output_size_limit=1 << 14)
            onnxscript.rewriter.onnx_fusions.fuse(program.model)
            program.save(path)
        return onnx.load(path)


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array, dtype=np.float16).tobytes()).digest()


def float_constants(proto):
    for tensor in proto.graph.initializer:
        if tensor.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16):
            array = numpy_helper.to_array(tensor)
            if array.nbytes >= INLINE and (array.astype(np.float16) == array).all():
                yield tensor, array


def share(proto, table, file_name):
    """Replaces the large constants of the graph by references into the weight file; table: digest -> place."""
    casts, shared, kept = [], 0, 0
    for tensor, array in float_constants(proto):
        place = table.get(digest(array))
        if place is None:
            kept += array.nbytes
            continue
        name, (offset, length) = tensor.name, place
        shared += length
        if tensor.data_type == TensorProto.FLOAT:
            tensor.name = name + ".fp16"
            casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"Cast_{name}", to=TensorProto.FLOAT))
        tensor.data_type = TensorProto.FLOAT16
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.ClearField("int32_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", file_name), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
    nodes = casts + list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return shared, kept


def tidy(proto):
    """Drops stack traces and other notes about the machine of the export; scopes and class names stay."""
    def strip(item):
        item.doc_string = ""
        keep = [p for p in item.metadata_props if p.key == "namespace"]
        del item.metadata_props[:]
        item.metadata_props.extend(keep)

    strip(proto)
    strip(proto.graph)
    for group in (proto.graph.node, proto.graph.value_info, proto.graph.input, proto.graph.output,
                  proto.graph.initializer):
        for item in group:
            strip(item)


def check(path, weights, frames, dtype):
    """ONNX Runtime on the graph against PyTorch in fp32: largest and root-mean-square difference."""
    import onnxruntime
    onnx.checker.check_model(path, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = example(frames, dtype)
    output = session.run(None, {n: t.numpy() for n, t in zip(INPUTS, inputs)})[0].astype(np.float32)
    reference = load_model(weights)(*(t.float() for t in inputs)).numpy()
    difference = np.abs(output - reference)
    return difference.max().item(), np.sqrt((difference ** 2).mean()).item()


def main():
    source, folder = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    state = load_weights(source)
    protos = {name: raw_export(source, *how) for name, how in EXPORTS.items()}
    used = {}
    for proto in protos.values():
        for _, array in float_constants(proto):
            used[digest(array)] = used.get(digest(array), 0) + 1
    transposed = {n for n, t in state.items()
                  if t.ndim == 2 and used.get(digest(t.T.numpy()), 0) > used.get(digest(t.numpy()), 0)}
    file_name = "weights.safetensors"
    target = os.path.join(folder, file_name)
    places = save_weights(state, target, transposed)
    table = {digest((t.T if n in transposed else t).numpy()): places[n] for n, t in state.items()}
    for name, proto in protos.items():
        _, _, frames, dtype = EXPORTS[name]
        shared, kept = share(proto, table, file_name)
        tidy(proto)
        path = os.path.join(folder, f"{name}.onnx")
        onnx.save(proto, path)
        largest, mean = check(path, source, frames, dtype)
        print(f"{name}: {len(proto.graph.node)} nodes, {os.path.getsize(path):,} bytes, shares {shared:,}, keeps {kept:,}; "
              f"largest error {largest:.2e}, rms {mean:.2e}", flush=True)


if __name__ == "__main__":
    main()
