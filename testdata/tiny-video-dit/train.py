"""Trains the tiny video DiT on clips that are drawn on the fly on the GPU. Nothing is read, nothing downloaded.

    python train.py --out run                                   # one GPU
    torchrun --nproc-per-node 2 train.py --out run              # the same global batch, split

Writes weights.safetensors (moving average of the weights, fp16), loss.csv, validation.csv, samples-*.png, train.json.
Flow matching: x_t = (1 - t) clip + t noise, the model predicts noise - clip; t is logit-normal, moved towards noise.
A step uses clips of 16 frames or twice as many of 8, so the same weights serve 4,096 and 2,048 tokens.
"""
import argparse
import contextlib
import copy
import csv
import json
import os
import random
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

import clips
from model import TinyVideoDiT, save_weights
from sample import following, sample, seeded_noise


class Muon:
    """Momentum whose update is orthogonalised (Newton-Schulz, five steps), for the 2-D weights of the blocks; weights
    of one shape go through as one batch. The update has the root mean square 0.2 lr, as AdamW's has about."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.03):
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        shapes = {}
        for p in parameters:
            shapes.setdefault(tuple(p.shape), []).append(p)
        self.groups = [(group, torch.zeros(len(group), *shape, device=group[0].device))
                       for shape, group in shapes.items()]

    @torch.no_grad()
    def step(self, factor):
        lr = self.lr * factor
        for group, buffer in self.groups:
            grad = torch.stack([p.grad for p in group])
            buffer.lerp_(grad, 1 - self.momentum)
            x = grad.lerp(buffer, self.momentum).bfloat16()
            tall = x.shape[1] > x.shape[2]
            x = x.mT if tall else x
            x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
            for _ in range(5):
                a = x @ x.mT
                x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
            x = (x.mT if tall else x).float() * (0.2 * max(x.shape[1:]) ** 0.5)
            torch._foreach_mul_(group, 1 - lr * self.weight_decay)
            torch._foreach_add_(group, list(x.unbind(0)), alpha=-lr)


class Clips:
    """Batches of clips of one length, drawn for several steps at once: drawing is many small kernels."""

    def __init__(self, count, frames, device, generator, steps=8):
        self.count, self.frames, self.device, self.generator, self.steps, self.drawn = count, frames, device, generator, steps, []

    def next(self):
        if not self.drawn:
            scene = clips.sample_scenes(self.count * self.steps, self.device, self.generator)
            clip, _ = clips.render(scene, self.frames)
            self.drawn = list(zip(clip.split(self.count), clips.condition_tokens(scene).split(self.count)))
        return self.drawn.pop()


def training_batch(source, args):
    clip, tokens = source.next()
    count, device, generator = source.count, source.device, source.generator
    keep = torch.rand(count, 1, 1, device=device, generator=generator) >= args.drop_condition
    noise = torch.randn(clip.shape, device=device, generator=generator)
    strata = torch.rand(count, device=device, generator=generator) + torch.arange(count, device=device)
    t = torch.sigmoid(args.t_scale * torch.special.ndtri((strata / count).clamp(1e-4, 1 - 1e-4)))
    t = args.shift * t / (1 + (args.shift - 1) * t)
    mixed = torch.lerp(clip, noise, t.view(-1, 1, 1, 1, 1))
    return mixed, t * 1000, tokens * keep, noise - clip


@torch.no_grad()
def validate(model, device, count, levels=(0.1, 0.3, 0.5, 0.7, 0.9, 0.97)):
    """Loss of the averaged weights on fixed clips and fixed noise, per clip length and noise level."""
    generator = torch.Generator(device).manual_seed(99)
    rows = []
    for frames in (16, 8):
        scene = clips.sample_scenes(count, device, generator)
        clip, _ = clips.render(scene, frames)
        tokens = clips.condition_tokens(scene)
        noise = torch.randn(clip.shape, device=device, generator=generator)
        for t in levels:
            timestep = torch.full((count,), 1000 * t, device=device)
            velocity = model(torch.lerp(clip, noise, t), timestep, tokens)
            rows.append((frames, t, F.mse_loss(velocity.float(), noise - clip).item()))
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--max-seconds", type=float, default=900, help="the schedule ends here at the latest")
    parser.add_argument("--batch", type=int, default=16, help="clips of 16 frames per step (8 frames: twice as many)")
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="muon")
    parser.add_argument("--lr", type=float, default=6e-3, help="peak, for the matrices of the blocks")
    parser.add_argument("--lr-rest", type=float, default=3e-3, help="peak, for everything else (AdamW)")
    parser.add_argument("--decay-from", type=float, default=0.3, help="progress at which the learning rate starts to fall")
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--short", type=float, nargs=2, default=(0.7, 0.35),
                        help="share of 8-frame steps in the first and in the second half")
    parser.add_argument("--drop-condition", type=float, default=0.1)
    parser.add_argument("--shift", type=float, default=2.0)
    parser.add_argument("--t-scale", type=float, default=1.2)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--checks", type=int, default=3, help="validations and contact sheets, the last one included")
    parser.add_argument("--validate", type=int, default=32, help="clips in a validation and in the final measure")
    parser.add_argument("--no-samples", action="store_true")
    args = parser.parse_args()

    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if world > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.manual_seed(args.seed)
    lengths = random.Random(args.seed)                  # clip lengths: the same on every rank
    generator = torch.Generator(device).manual_seed(1000 * args.seed + rank)

    started = time.time()
    model = TinyVideoDiT().to(device)
    ema = copy.deepcopy(model).eval().requires_grad_(False)
    parameters, averages = list(model.parameters()), list(ema.parameters())
    matrices = [p for n, p in model.named_parameters() if n.startswith("blocks.") and p.ndim == 2]
    rest = [p for n, p in model.named_parameters() if not (n.startswith("blocks.") and p.ndim == 2)]
    muon = Muon(matrices, args.lr) if args.optimizer == "muon" else None
    groups = [{"params": rest, "peak": args.lr_rest}]
    if muon is None:
        groups.append({"params": matrices, "peak": args.lr})
    adamw = torch.optim.AdamW(groups, lr=args.lr_rest, betas=(0.9, 0.98), weight_decay=0.01, fused=device.type == "cuda")
    if not args.no_compile:
        for block in model.blocks:
            block.compile(dynamic=False)

    os.makedirs(args.out, exist_ok=True)
    scene = clips.sample_scenes(6, "cpu", torch.Generator().manual_seed(1234))
    scene = {k: v.to(device) for k, v in scene.items()}
    bf16 = torch.autocast(device.type, torch.bfloat16)
    backends = (sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH], set_priority=True)
                if device.type == "cuda" else contextlib.nullcontext())
    log, checks, running, count = [], [], torch.zeros((), device=device), 0

    def check(step):
        with bf16:
            rows = validate(ema, device, args.validate)
            if not args.no_samples:
                shown = sample(ema, clips.condition_tokens(scene), seeded_noise(6, 16, 7, device), guidance=1.5)
                clips.contact_sheet(shown, f"{args.out}/samples-{step:05d}.png")
        checks.extend((step, round(time.time() - started, 1), *row) for row in rows)
        mean = {f: sum(r[2] for r in rows if r[0] == f) / len([r for r in rows if r[0] == f]) for f in (16, 8)}
        print(f"  validation at {step}: 16 frames {mean[16]:.4f}, 8 frames {mean[8]:.4f}; by level "
              + " ".join(f"{r[1]}:{r[2]:.4f}" for r in rows if r[0] == 16), flush=True)
        return mean

    def save():
        save_weights(ema.state_dict(), f"{args.out}/weights.safetensors")
        for name, head, rows in (("loss.csv", ("step", "seconds", "frames16_share", "learning_rate", "loss"), log),
                                 ("validation.csv", ("step", "seconds", "frames", "t", "loss"), checks)):
            with open(f"{args.out}/{name}", "w", newline="") as out:
                writer = csv.writer(out, lineterminator="\n")
                writer.writerow(head)
                writer.writerows(rows)

    step, progress, long_steps, next_check = 0, 0.0, 0, 1 / args.checks
    sources = {short: Clips((1 + short) * args.batch // world, 8 if short else 16, device, generator)
               for short in (False, True)}
    with backends:
        while progress < 1:
            warm = min(1, (step + 1) / 100)
            factor = warm * (1 if progress < args.decay_from else (1 - progress) / (1 - args.decay_from))
            short = lengths.random() < args.short[progress >= 0.5]
            mixed, timestep, tokens, target = training_batch(sources[short], args)
            with bf16:
                velocity = model(mixed, timestep, tokens)
            loss = F.mse_loss(velocity.float(), target)
            loss.backward()
            grads = [p.grad for p in parameters]
            if world > 1:
                flat = torch.cat([g.flatten() for g in grads])
                dist.all_reduce(flat)
                flat /= world
                torch._foreach_copy_(grads, [f.view_as(g) for f, g in zip(flat.split([g.numel() for g in grads]), grads)])
            torch.nn.utils.clip_grads_with_norm_(parameters, 1.0, torch.nn.utils.get_total_norm(grads))
            for group in adamw.param_groups:
                group["lr"] = group["peak"] * factor
            adamw.step()
            if muon is not None:
                muon.step(factor)
            for p in parameters:
                p.grad = None
            with torch.no_grad():
                torch._foreach_lerp_(averages, parameters, 1 - min(args.ema, (1 + step) / (10 + step)))
            running += loss.detach()
            count += 1
            long_steps += not short
            step += 1
            if step in (1, 10) or step % 50 == 0:
                seconds = torch.tensor(time.time() - started)
                log.append((step, round(seconds.item(), 1), round(long_steps / count, 2),
                            round(args.lr * factor, 6), round(running.item() / count, 5)))
                if rank == 0 and (step <= 50 or step % 200 == 0):
                    print("step %d  %.1f s  16-frame share %.2f  lr %.5f  loss %.4f" % log[-1], flush=True)
                running.zero_()
                count = long_steps = 0
                if world > 1:                           # every rank must take the same decisions
                    seconds = seconds.to(device)
                    dist.broadcast(seconds, 0)
                progress = max(step / args.steps, seconds.item() / args.max_seconds)
            else:
                progress = max(progress, step / args.steps)
            if progress >= next_check and progress < 1:
                next_check += 1 / args.checks
                if rank == 0:
                    check(step)
                    save()
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.time() - started
    if rank == 0:
        mean = check(step)
        save()
        result = {"arguments": vars(args), "gpus": world, "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
                  "torch": torch.__version__, "steps": step, "seconds": round(seconds, 1), "validation": mean}
        if device.type == "cuda":
            result["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
        guidances = () if args.no_samples else (1.0, 1.5, 2.0, 3.0)
        scenes = clips.sample_scenes(args.validate, device, torch.Generator(device).manual_seed(4321))
        for frames in (16, 8):
            for guidance in guidances:
                with bf16:
                    noise = seeded_noise(args.validate, frames, 7, device)
                    shown = sample(ema, clips.condition_tokens(scenes), noise, guidance=guidance)
                inside, wrong = following(shown, scenes)
                result[f"following_{frames}_g{guidance}"] = [round(inside, 4), round(wrong, 4)]
                clips.contact_sheet(shown[:8], f"{args.out}/final-{frames}f-g{guidance}.png")
        with open(f"{args.out}/train.json", "w") as out:
            json.dump(result, out, indent=1)
        print(json.dumps(result), flush=True)
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
