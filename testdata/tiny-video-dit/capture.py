"""Runs the sampler once, keeps queries, keys and values of real self-attention for kernel tests, and measures every head.

    python capture.py exports/weights.safetensors captures

Query and key are taken after QK-norm and RoPE, exactly what the attention sees. heads.csv has, for every step, layer
and head looked at, the share of keys that holds 90 % of a query's mass (mean over sampled queries: the density an
oracle would need), the mass inside the query's own frame, and the mass at the query's own place in all frames.
"""
import csv
import os
import sys

import numpy as np
import torch

import clips
from model import load_model
from sample import sample, seeded_noise

FRAMES, STEPS, SHIFT = 8, 20, 3.0
LOOK = (2, 6, 14)                              # steps that are measured
SAVE = ((6, 4, 0), (14, 4, 0), (6, 5, 0), (14, 5, 0))   # (step, layer, head): along the motion; by content


def statistics(query, key, rows=96):
    """query, key [S, D] of one head."""
    tokens, side = query.shape[0], clips.SIZE // 2
    picked = ((torch.arange(rows) + 0.5) * tokens / rows).long()
    mass = torch.softmax(query[picked] @ key.T * query.shape[1] ** -0.5, dim=-1)
    ordered = mass.sort(dim=-1, descending=True).values.cumsum(-1)
    needed = ((ordered < 0.9).sum(-1) + 1).float() / tokens
    frame = torch.arange(tokens) // side**2
    place = torch.arange(tokens) % side**2
    near = ((place[picked, None] // side - place[None] // side).abs() <= 1) & \
           ((place[picked, None] % side - place[None] % side).abs() <= 1)
    own_frame = (mass * (frame[picked, None] == frame[None])).sum(-1)
    return needed.mean().item(), own_frame.mean().item(), (mass * near).sum(-1).mean().item()


@torch.no_grad()
def main():
    weights, folder = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    model = load_model(weights)
    scene = clips.sample_scenes(6, "cpu", torch.Generator().manual_seed(1234))
    tokens = clips.condition_tokens(scene)[:1]
    taken, now = {}, []

    def on_step(step):
        for layer, block in enumerate(model.blocks):
            if block.attn1.capture:
                taken[now[0], layer] = [t[0] for t in block.attn1.capture[0]]
            block.attn1.capture = [] if step in LOOK else None
        now[:] = [step]

    sample(model, tokens, seeded_noise(1, FRAMES, 7), STEPS, SHIFT, on_step=on_step)
    with open(os.path.join(folder, "heads.csv"), "w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("step", "layer", "head", "density_for_90_percent", "mass_own_frame", "mass_own_place_3x3"))
        for (step, layer), (query, key, _) in sorted(taken.items()):
            for head in range(query.shape[0]):
                writer.writerow((step, layer, head, *(round(v, 4) for v in statistics(query[head], key[head]))))
    for step, layer, head in SAVE:
        for name, tensor in zip("qkv", taken[step, layer]):
            array = tensor[head].numpy().astype(np.float16)
            np.save(os.path.join(folder, f"step{step:02d}-layer{layer}-head{head}-{name}.npy"), array)


if __name__ == "__main__":
    main()
