"""Writes what another implementation needs to reproduce one sample: conditions, starting noise and the result.

    python reference.py exports/weights.safetensors reference
"""
import os
import sys

import numpy as np
import torch

import clips
from model import load_model
from sample import sample, seeded_noise, sigmas

STEPS, SHIFT, SCENES = 20, 3.0, 6


def describe(scene, i):
    def hex_colour(rgb):
        return "#" + "".join(f"{round(255 * c):02x}" for c in rgb.tolist())

    words = [f"{clips.GROUND_TEXTURES[scene['ground_texture'][i]]} background {hex_colour(scene['ground_first'][i])}/"
             f"{hex_colour(scene['ground_second'][i])} moving ({scene['ground_velocity'][i, 0]:.2f}, "
             f"{scene['ground_velocity'][i, 1]:.2f}) pixels per frame"]
    for j in range(clips.OBJECTS):
        if scene["present"][i, j]:
            words.append(
                f"{clips.SHAPE_TEXTURES[scene['texture'][i, j]]} {clips.SHAPES[scene['shape'][i, j]]} "
                f"{hex_colour(scene['first'][i, j])}/{hex_colour(scene['second'][i, j])}, radius {scene['radius'][i, j]:.1f}, "
                f"from ({scene['start'][i, j, 0]:.0f}, {scene['start'][i, j, 1]:.0f}) moving ({scene['velocity'][i, j, 0]:.2f}, "
                f"{scene['velocity'][i, j, 1]:.2f}), turning {scene['spin'][i, j]:.2f} rad per frame")
    return "; ".join(words)


def main():
    weights, folder = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    model = load_model(weights)
    scene = clips.sample_scenes(SCENES, "cpu", torch.Generator().manual_seed(1234))
    tokens = clips.condition_tokens(scene)
    np.save(f"{folder}/conditions.npy", tokens.numpy())
    with open(f"{folder}/conditions.txt", "w") as out:
        out.writelines(f"{i}: {describe(scene, i)}\n" for i in range(SCENES))
    np.savetxt(f"{folder}/sigmas.txt", sigmas(STEPS, SHIFT), fmt="%.9f")
    for frames in (8, 16):
        count = frames * 256
        noise = seeded_noise(1, frames, 7).half()
        np.save(f"{folder}/noise-{count}.npy", noise.numpy())
        if frames == 8:
            first = model(noise.float(), torch.tensor([1000.0]), tokens[:1])
            np.save(f"{folder}/first-velocity-{count}.npy", first.numpy())
        result = sample(model, tokens[:1], noise.float(), STEPS, SHIFT)
        np.save(f"{folder}/sample-{count}.npy", result.numpy())


if __name__ == "__main__":
    main()
