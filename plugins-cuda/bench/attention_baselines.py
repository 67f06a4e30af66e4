"""Times dense cuDNN attention and block-sparse FlexAttention on the shapes of attention_bench.

Run it beside attention_bench, on the same GPU in the same session:
python3 attention_baselines.py wan hunyuan
FlexAttention gets random 128 x 128 blocks at each density, its best case: no ragged clusters. Needs
PyTorch with Triton.
"""

import statistics
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import BlockMask, flex_attention

SHAPES = {
    "wan": (1, 40, 75600, 128),
    "hunyuan": (1, 24, 119056, 128),
    "cogvideo": (2, 48, 45106, 64),
    "wan-small": (1, 12, 32760, 128),
}
BLOCK = 128


def median_ms(run, repeat):
    run(0)
    times = []
    for i in range(repeat):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run(i + 1)
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop))
    return statistics.median(times)


def random_block_mask(batch, heads, tokens, density):
    """A BlockMask that keeps each 128 x 128 block with the given probability, all of them full."""
    blocks = -(-tokens // BLOCK)
    keep = torch.rand(batch, heads, blocks, blocks, device="cuda") < density
    counts = keep.sum(-1, dtype=torch.int32)
    indices = torch.argsort(keep.to(torch.int8), dim=-1, descending=True, stable=True)
    none = torch.zeros_like(counts)
    mask = BlockMask.from_kv_blocks(
        none, indices.to(torch.int32), counts, indices.to(torch.int32), BLOCK_SIZE=BLOCK,
        seq_lengths=(tokens, tokens), compute_q_blocks=False)
    return mask, counts.sum().item() / counts.numel() / blocks


def measure(name, densities, repeat=9):
    batch, heads, tokens, dim = SHAPES[name]
    sets = [[torch.randn(batch, heads, tokens, dim, device="cuda", dtype=torch.bfloat16)
             for _ in range(3)] for _ in range(2)]
    flops = 4.0 * tokens * tokens * dim * heads * batch

    def dense(i):
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            torch.nn.functional.scaled_dot_product_attention(*sets[i % 2])

    ms = median_ms(dense, repeat)
    print(f"{name:10s} dense cuDNN            {ms:8.2f} ms {flops / ms / 1e9:7.1f} TFLOP/s",
          flush=True)
    sparse = torch.compile(flex_attention, dynamic=False)
    for density in densities:
        mask, kept = random_block_mask(batch, heads, tokens, density)
        ms = median_ms(lambda i: sparse(*sets[i % 2], block_mask=mask), repeat)
        print(f"{name:10s} FlexAttention {kept:.3f}     {ms:8.2f} ms "
              f"{flops * kept / ms / 1e9:7.1f} TFLOP/s", flush=True)


if __name__ == "__main__":
    print(torch.cuda.get_device_name(), "PyTorch", torch.__version__)
    for shape in sys.argv[1:]:
        with torch.no_grad():
            measure(shape, (0.25, 0.10))
