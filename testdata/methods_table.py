#!/usr/bin/env python3
"""Prints the table of docs/methods.md: python3 testdata/methods_table.py [--out DIR] [GRAPH ...]

Compiles each graph by each method with the settings below (./sparsify-model compile, which verifies
the result), and reads what the bundle and its report say. Without graphs: the trained tiny video DiT,
in the midst of denoising, and graphs of the zoo that are stored with their weights, on seeded random
inputs. Bundles that are already in DIR are not made again. Needs NumPy.
"""
import argparse
import gzip
import json
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DIT = "tiny-video-dit/exports/ts17-2048"
GRAPHS = [DIT, "zoo/wan21_t2v-ts17-static", "zoo/cosmos-dynamo23-static"]
NOISE = 0.8  # level of the tiny DiT's input, from 1 (pure noise) to 0
# The zoo's videos have 192 tokens: blocks of the published sizes would be the whole video.
SMALL_BLOCKS = ["--block-size", "16"]
SETTINGS = [
    ["--method", "svg2"],
    ["--method", "svg2", "--no-compensate"],
    ["--method", "svg2", "--ranking", "mass-per-token"],
    ["--method", "svg2", "--top-p", "0.9"],
    ["--method", "adaspa"],
    ["--method", "adaspa", "--density", "0.25", "--compensate"],
    ["--method", "svg"],
    ["--method", "svg", "--density", "0.25"],
    ["--method", "svg", "--density", "0.25", "--compensate"],
]
BYTES = {"f32": 4, "i32": 4}


def model_file(graph, out):
    folder = ROOT / "testdata" / graph
    for file in (folder.with_suffix(".onnx"), folder / "model.onnx"):
        if file.exists():
            return file
    packed = folder / "model.onnx.gz"
    target = out / (folder.name + ".onnx")
    if not target.exists():
        with gzip.open(packed) as source, open(target, "wb") as sink:
            shutil.copyfileobj(source, sink)
    return target


def tensor_proto(array):
    """An ONNX TensorProto of f32: dims, data_type, raw_data."""

    def varint(number):
        out = b""
        while number > 127:
            out += bytes([number & 127 | 128])
            number >>= 7
        return out + bytes([number])

    data = np.ascontiguousarray(array, "<f4").tobytes()
    dims = b"".join(b"\x08" + varint(d) for d in array.shape)
    return dims + b"\x10\x01\x4a" + varint(len(data)) + data


def dit_inputs(out):
    """Between the noise and the sample of the reference, as the sampler passes by."""
    folder = out / "dit-inputs"
    folder.mkdir(exist_ok=True)
    reference = ROOT / "testdata/tiny-video-dit/reference"
    noise, sample = (np.load(reference / f"{n}-2048.npy").astype(np.float32) for n in ("noise", "sample"))
    inputs = {
        "hidden_states": NOISE * noise + (1 - NOISE) * sample,
        "timestep": np.array([1000 * NOISE]),
        "encoder_hidden_states": np.load(reference / "conditions.npy")[:1],
    }
    for name, array in inputs.items():
        (folder / f"{name}.pb").write_bytes(tensor_proto(array))
    return ["--inputs", str(folder)]


def compile_once(graph, options, out):
    if graph.startswith("zoo/") and "svg2" not in options:
        options = options + SMALL_BLOCKS
    bundle = out / "_".join([graph.replace("/", "_")] + [o.lstrip("-") for o in options])
    if not (bundle / "bundle.json").exists():
        command = [str(ROOT / "sparsify-model"), "compile", "--quiet", str(model_file(graph, out)),
                   "-o", str(bundle), *options, *(dit_inputs(out) if graph == DIT else [])]
        subprocess.run(command, check=True)
    return json.loads((bundle / "bundle.json").read_text()), json.loads((bundle / "report.json").read_text())


def state_bytes(bundle):
    """Of a site, in the mean; symbolic sizes count as 1."""
    total = 0
    for tensor in bundle["state"]:
        total += BYTES[tensor["type"]] * math.prod(d if isinstance(d, int) else 1 for d in tensor["dims"])
    return total / max(1, len(bundle["sites"]))


def mean(values):
    return sum(values) / len(values)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "methods")
    parser.add_argument("graphs", nargs="*", default=GRAPHS)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print("| graph | settings | sites | state a site | density | recall | relative L1 of a site | of the output |")
    print("|---|---|---|---|---|---|---|---|")
    for graph in arguments.graphs:
        for options in SETTINGS:
            bundle, report = compile_once(graph, options, arguments.out)
            verification = report["verification"]
            sites = verification["sites"]
            output = verification["asChosen"]
            state = state_bytes(bundle)
            print("|", graph.split("/")[-1] if "zoo" in graph else "tiny video DiT",
                  "|", " ".join(options).replace("--method ", ""),
                  "|", len(bundle["sites"]),
                  "|", f"{state / 1000:.1f} kB" if state >= 1000 else f"{state:.0f} B",
                  "|", f"{mean([s['density'] for s in sites]):.3f}",
                  "|", f"{mean([s['recall'] for s in sites]):.3f}",
                  "|", f"{mean([s['asChosen']['relativeL1'] for s in sites]):.4f}",
                  "|", f"{output[0]['relativeL1']:.4f}" if output else "-", "|", flush=True)


if __name__ == "__main__":
    main()
