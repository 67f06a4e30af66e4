"""Times QK-norm and RoPE in PyTorch, eager and compiled, on the shapes of qk_norm_rope_bench.

python3 qk_norm_rope_baselines.py wan hunyuan
RMSNorm over the hidden size (wan) or each head (hunyuan), interleaved RoPE in f32, [B,S,H,D], bf16.
"""

import statistics
import sys

import torch

SHAPES = {"wan": (40, 75600, 128, True), "hunyuan": (24, 119056, 128, False)}


def norm_and_rope(x, weight, cos, sin, hidden):
    heads, dim = x.shape[2:]
    if hidden:
        x = torch.nn.functional.rms_norm(x.flatten(2), (heads * dim,), weight).unflatten(2, (heads, dim))
    else:
        x = torch.nn.functional.rms_norm(x, (dim,), weight)
    wide = x.float()
    first, second = wide.unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack((-second, first), -1).flatten(3)
    return (wide * cos + turned * sin).to(x.dtype)


def median_ms(run, repeat=9):
    run()
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


if __name__ == "__main__":
    print(torch.cuda.get_device_name(), "PyTorch", torch.__version__)
    for name in sys.argv[1:]:
        heads, tokens, dim, hidden = SHAPES[name]
        q, k = (torch.randn(1, tokens, heads, dim, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        weight = torch.randn(heads * dim if hidden else dim, device="cuda", dtype=torch.bfloat16)
        cos, sin = (torch.randn(1, tokens, 1, dim, device="cuda") for _ in range(2))
        compiled = torch.compile(norm_and_rope, dynamic=False)
        for kind, function in (("eager", norm_and_rope), ("compiled", compiled)):
            with torch.no_grad():
                ms = median_ms(lambda: [function(x, weight, cos, sin, hidden) for x in (q, k)])
            print(f"{name:8s} {kind:9s} {ms:7.3f} ms", flush=True)
