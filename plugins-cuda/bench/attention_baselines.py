"""Times dense cuDNN attention and block-sparse FlexAttention on the shapes of attention_bench.

Run it beside attention_bench, on the same GPU in the same session:
python3 attention_baselines.py wan hunyuan wan:64:FILE
FlexAttention gets random 128 x 128 blocks at each density, its best case: no ragged clusters. With
SHAPE:BLOCK:FILE it gets the blocks of BLOCK tokens that attention_bench --keep wrote to FILE, for
videos without text; the order of the tokens does not matter to it. Medians of --repeat launches, 9 unless
said otherwise. Needs PyTorch with Triton.
"""

import argparse
import statistics

import numpy
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
    return block_mask(torch.rand(batch, heads, blocks, blocks, device="cuda") < density, tokens,
                      BLOCK)


def read_block_mask(path, heads, tokens, block):
    extents = numpy.fromfile(path, dtype=numpy.int32, count=4)
    words = numpy.fromfile(path, dtype=numpy.uint8, offset=16)
    bits = numpy.unpackbits(words.reshape(heads, extents[1], extents[3] * 4), axis=-1,
                            bitorder="little")[:, :, :extents[2]]
    return block_mask(torch.from_numpy(bits).cuda()[None].bool(), tokens, block)


def block_mask(keep, tokens, block):
    """The kept blocks as a BlockMask of full blocks, and the share of them."""
    counts = keep.sum(-1, dtype=torch.int32)
    indices = torch.argsort(keep.to(torch.int8), dim=-1, descending=True, stable=True)
    none = torch.zeros_like(counts)
    mask = BlockMask.from_kv_blocks(
        none, indices.to(torch.int32), counts, indices.to(torch.int32), BLOCK_SIZE=block,
        seq_lengths=(tokens, tokens), compute_q_blocks=False)
    return mask, counts.sum().item() / keep.numel()


def make_sets(name):
    batch, heads, tokens, dim = SHAPES[name]
    return [[torch.randn(batch, heads, tokens, dim, device="cuda", dtype=torch.bfloat16)
             for _ in range(3)] for _ in range(2)]


def flops_of(name):
    batch, heads, tokens, dim = SHAPES[name]
    return 4.0 * tokens * tokens * dim * heads * batch


def measure(name, densities, repeat):
    batch, heads, tokens, dim = SHAPES[name]
    sets = make_sets(name)
    flops = flops_of(name)

    def dense(i):
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            torch.nn.functional.scaled_dot_product_attention(*sets[i % 2])

    ms = median_ms(dense, repeat)
    print(f"{name:10s} dense cuDNN            {ms:8.2f} ms {flops / ms / 1e9:7.1f} TFLOP/s",
          flush=True)
    for density in densities:
        mask, kept = random_block_mask(batch, heads, tokens, density)
        time_flex(name, sets, mask, kept, repeat)


def time_flex(name, sets, mask, kept, repeat, options=None):
    sparse = torch.compile(flex_attention, dynamic=False)
    ms = median_ms(lambda i: sparse(*sets[i % 2], block_mask=mask, kernel_options=options), repeat)
    print(f"{name:10s} FlexAttention {kept:.3f}     {ms:8.2f} ms "
          f"{flops_of(name) * kept / ms / 1e9:7.1f} TFLOP/s", flush=True)


def measure_plan(name, block, path, repeat):
    _, heads, tokens, _ = SHAPES[name]
    mask, kept = read_block_mask(path, heads, tokens, block)
    # Its tiles must divide the blocks.
    options = {"BLOCK_M": 64, "BLOCK_N": 64} if block < 128 else None
    print(path, end=": ")
    time_flex(name, make_sets(name), mask, kept, repeat, options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("shapes", nargs="+")
    arguments = parser.parse_args()
    print(torch.cuda.get_device_name(), "PyTorch", torch.__version__)
    for shape in arguments.shapes:
        with torch.no_grad():
            if ":" in shape:
                name, size, file = shape.split(":")
                measure_plan(name, int(size), file, arguments.repeat)
            else:
                measure(shape, (0.25, 0.10), arguments.repeat)
