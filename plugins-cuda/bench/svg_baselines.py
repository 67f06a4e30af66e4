"""Times the profiling of SVG in PyTorch, eager and compiled, on the shapes of svg_bench.

Run it beside svg_bench, on the same GPU in the same session:
python3 svg_baselines.py wan hunyuan
For 64 sampled rows three outputs are computed by scaled_dot_product_attention, one without and two
with a boolean mask that is ready before the clock starts, and the class by two mean squared errors,
as the published code (Sparse-VideoGen, commit 5ce7b01) does. q is taken to be gathered. Needs
PyTorch with Triton.
"""

import statistics
import sys

import torch
from torch.nn.functional import mse_loss, scaled_dot_product_attention

SHAPES = {  # batch, heads, text tokens, head dim, frames, tokens a frame, frames of the profile
    "wan": (1, 40, 0, 128, 21, 3600, 2.0),
    "hunyuan": (1, 24, 256, 128, 33, 3600, 1.5),
    "cogvideo": (2, 48, 226, 64, 11, 4080, 1.5),
    "wan-small": (1, 12, 0, 128, 21, 1560, 2.0),
}
ROWS = 64
BLOCK = 128


def median_ms(run, repeat=15):
    for _ in range(3):
        run()
    times = []
    for _ in range(repeat):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop))
    return statistics.median(times)


def classify(q, k, v, spatial, temporal):
    dense = scaled_dot_product_attention(q, k, v)
    errors = []
    for mask in (spatial, temporal):
        masked = scaled_dot_product_attention(q, k, v, attn_mask=mask)
        errors.append(mse_loss(masked, dense, reduction="none").mean((2, 3)))
    return torch.argmin(torch.stack(errors), 0)


def masks(frames, per_frame, text, profile):
    video = frames * per_frame
    token = torch.arange(video, device="cuda")
    row = (2 * torch.arange(ROWS, device="cuda") + 1) * video // (2 * ROWS)
    result = []
    for temporal in (False, True):
        place = (lambda t: t % per_frame * frames + t // per_frame) if temporal else (lambda t: t)
        blocks = (place(row) // BLOCK)[:, None] - (place(token) // BLOCK)[None, :]
        near = blocks.abs() < int(profile * per_frame) // BLOCK
        if text == 0:
            near = near | (place(token) < per_frame)[None, :]
        seen = torch.ones(ROWS, text, dtype=torch.bool, device="cuda")
        result.append(torch.cat([near, seen], 1))
    return result


def main():
    compiled = torch.compile(classify)
    for name in sys.argv[1:]:
        batch, heads, text, dim, frames, per_frame, profile = SHAPES[name]
        tokens = frames * per_frame + text
        new = lambda rows: torch.randn(batch, heads, rows, dim, device="cuda", dtype=torch.bfloat16)
        q, k, v = new(ROWS), new(tokens), new(tokens)
        spatial, temporal = masks(frames, per_frame, text, profile)
        for how, run in (("eager", classify), ("torch.compile", compiled)):
            ms = median_ms(lambda: run(q, k, v, spatial, temporal))
            print(f"{name} {how}: {ms:.3f} ms", flush=True)


if __name__ == "__main__":
    main()
