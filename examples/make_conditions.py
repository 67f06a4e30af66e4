"""Writes the ready conditions of DenoiseVideo: scenes of the tiny video DiT's toy world as four tokens of 64 numbers.

    python examples/make_conditions.py        # from the root of the repository; needs PyTorch
"""
import pathlib
import sys

import torch

root = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "testdata" / "tiny-video-dit"))
import clips  # noqa: E402

SEED, SCENES = 2026, 48
CHOSEN = (32, 46, 9, 21, 25, 38)
GROUND_WORDS = {"stripes": "stripes", "plaid": "plaid", "checker": "checks", "noise": "noise"}
SHAPE_WORDS = {"solid": "solid", "stripes": "striped", "checker": "chequered", "halves": "two-tone"}

scenes = clips.sample_scenes(SCENES, "cpu", torch.Generator().manual_seed(SEED))
tokens = clips.condition_tokens(scenes)
folder = root / "examples/src/main/resources/io/sparsedit/examples/conditions"
folder.mkdir(parents=True, exist_ok=True)
for number, scene in enumerate(CHOSEN):
    shapes = [
        f"{SHAPE_WORDS[clips.SHAPE_TEXTURES[scenes['texture'][scene, i]]]} {clips.SHAPES[scenes['shape'][scene, i]]}"
        for i in range(clips.OBJECTS)
        if scenes["present"][scene, i]
    ]
    ground = GROUND_WORDS[clips.GROUND_TEXTURES[scenes["ground_texture"][scene]]]
    lines = [f"# {', '.join(shapes)} over {ground}"]
    lines += [" ".join(f"{value:.6g}" for value in token) for token in tokens[scene].tolist()]
    (folder / f"{number}.txt").write_text("\n".join(lines) + "\n")
