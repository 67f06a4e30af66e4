#!/usr/bin/env python3
"""Prints the table of docs/methods.md: python3 testdata/methods_table.py [--out DIR] [GRAPH ...]

Compiles each graph by each method with the settings below (./sparsify-model compile, which verifies
on seeded random inputs), and reads what the bundle and its report say. Without graphs: the tiny
trained video DiT and one graph of each family of the zoo. Bundles that are already in DIR are not
made again.
"""
import argparse
import gzip
import json
import math
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GRAPHS = [
    "tiny-video-dit/exports/ts17-4096",
    "zoo/wan21_t2v-ts17-static",
    "zoo/hunyuanvideo-ts17-static",
    "zoo/cogvideox_5b-ts17-dynamic",
]
# The zoo's videos have 192 tokens: blocks of the published sizes would be the whole video.
SMALL_BLOCKS = ["--block-size", "16"]
SETTINGS = [
    ["--method", "svg2"],
    ["--method", "svg2", "--density", "0.3"],
    ["--method", "svg2", "--density", "0.3", "--ranking", "mass-per-token"],
    ["--method", "svg2", "--density", "0.3", "--ranking", "mass-per-token", "--compensate"],
    ["--method", "adaspa"],
    ["--method", "adaspa", "--density", "0.3", "--compensate"],
    ["--method", "svg"],
    ["--method", "svg", "--density", "0.3"],
    ["--method", "svg", "--density", "0.3", "--compensate"],
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


def compile_once(graph, options, out):
    if graph.startswith("zoo/") and "svg2" not in options:
        options = options + SMALL_BLOCKS
    bundle = out / "_".join([graph.replace("/", "_")] + [o.lstrip("-") for o in options])
    if not (bundle / "bundle.json").exists():
        command = [str(ROOT / "sparsify-model"), "compile", "--quiet", str(model_file(graph, out)),
                   "-o", str(bundle), *options]
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
