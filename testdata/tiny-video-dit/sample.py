"""Sampler of the tiny video DiT, a measure of how well samples follow their condition, and contact sheets.

    python sample.py exports/weights.safetensors sheet.png --clips 6 --steps 20 --shift 3 --guidance 1.5
"""
import argparse

import torch

import clips


def sigmas(steps, shift):
    """steps + 1 noise levels from 1 to 0, moved towards the noise: s -> shift s / (1 + (shift - 1) s)."""
    s = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return (shift * s / (1 + (shift - 1) * s)).tolist()


@torch.no_grad()
def sample(model, tokens, noise, steps=20, shift=3.0, guidance=1.0, on_step=None):
    """Euler integration from noise [B, 3, F, 32, 32] to clips; the state stays in noise's dtype.
    guidance 1 calls the model once per step, anything else twice (condition, then zeros)."""
    x, levels = noise.clone(), sigmas(steps, shift)
    for step in range(steps):
        timestep = torch.full((x.shape[0],), 1000 * levels[step], dtype=torch.float32, device=x.device)
        if on_step is not None:
            on_step(step)
        velocity = model(x, timestep, tokens)
        if guidance != 1:
            plain = model(x, timestep, torch.zeros_like(tokens))
            velocity = plain + guidance * (velocity - plain)
        x = x + (levels[step + 1] - levels[step]) * velocity.to(x.dtype)
    return x


def following(samples, scene):
    """Mean absolute error (0 to 2) of samples against the drawn clip of the same scene, inside the drawn shapes, whose
    look the condition fixes, and the same against a wrong scene (its neighbour in the batch), as a yardstick."""
    frames = samples.shape[2]

    def error(clip, top):
        mask = (top > 0)[:, None].float()
        return ((samples - clip).abs() * mask).sum().item() / (3 * mask.sum().item())

    clip, top = clips.render(scene, frames)
    return error(clip, top), error(clip.roll(1, 0), top.roll(1, 0))


def seeded_noise(count, frames, seed, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, frames, clips.SIZE, clips.SIZE, generator=generator).to(device)


def main():
    from model import load_model
    parser = argparse.ArgumentParser()
    parser.add_argument("weights")
    parser.add_argument("picture")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--shift", type=float, default=3.0)
    parser.add_argument("--guidance", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--scene-seed", type=int, default=1234)
    parser.add_argument("--scale", type=int, default=2)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(args.weights).to(device)
    scene = clips.sample_scenes(args.clips, "cpu", torch.Generator().manual_seed(args.scene_seed))
    noise = seeded_noise(args.clips, args.frames, args.seed, device)
    result = sample(model, clips.condition_tokens(scene).to(device), noise, args.steps, args.shift, args.guidance).cpu()
    clips.contact_sheet(result, args.picture, columns=8, scale=args.scale)
    print("error inside the shapes: %.4f, against a wrong scene: %.4f" % following(result, scene))


if __name__ == "__main__":
    main()
