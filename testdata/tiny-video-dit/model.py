"""Tiny video DiT: a video Diffusion Transformer of modern shape, small enough to train in minutes.

It is written the way the transformers in diffusers are written (3-D patch embedding by a Conv3d whose kernel equals
its stride, adaLN from one shared modulation plus a table per block, QK-norm, 3-D RoPE, F.scaled_dot_product_attention),
so that its ONNX exports have the node patterns of real ones.

    hidden_states          [B, 3, F, 32, 32]   noisy clip, values around [-1, 1]; F = 16 (4,096 tokens) or 8 (2,048)
    timestep               [B]                 float32, 1000 * t, where t = 1 is pure noise
    encoder_hidden_states  [B, 4, 64]          condition tokens, see clips.py; all zeros = no condition
    -> velocity            [B, 3, F, 32, 32]   d x_t / d t = noise - clip (rectified flow)
"""
import json
import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Config:
    channels: int = 3
    patch: tuple = (1, 2, 2)
    max_grid: tuple = (16, 16, 16)      # latent frames, rows, columns of tokens
    heads: int = 3
    head_dim: int = 64
    layers: int = 8
    ffn_dim: int = 512
    text_dim: int = 64                  # features of a condition token
    text_inner_dim: int = 128           # width of the embedded condition tokens
    freq_dim: int = 256
    rope_theta: float = 100.0
    eps: float = 1e-6

    @property
    def dim(self):
        return self.heads * self.head_dim


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last axis, computed in fp32 whatever the input's type."""

    def __init__(self, dim, eps):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        dtype = x.dtype
        variance = x.to(torch.float32).pow(2).mean(-1, keepdim=True)
        x = x * torch.rsqrt(variance + self.eps)
        return x.to(dtype) * self.weight


class RotaryPosEmbed(nn.Module):
    """cos and sin of the 3-D RoPE: the head dimension is divided among frame, row and column (24 + 20 + 20 of 64)."""

    def __init__(self, head_dim, max_grid, theta):
        super().__init__()
        side = 2 * (head_dim // 6)
        self.split = (head_dim - 2 * side, side, side)
        for axis, (dim, length) in enumerate(zip(self.split, max_grid)):
            freqs = theta ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
            angle = torch.outer(torch.arange(length, dtype=torch.float64), freqs).repeat_interleave(2, dim=1)
            self.register_buffer(f"cos_{axis}", angle.cos().float(), persistent=False)
            self.register_buffer(f"sin_{axis}", angle.sin().float(), persistent=False)

    def forward(self, grid):
        f, h, w = grid

        def table(t, y, x):
            t = t[:f].view(f, 1, 1, -1).expand(f, h, w, -1)
            y = y[:h].view(1, h, 1, -1).expand(f, h, w, -1)
            x = x[:w].view(1, 1, w, -1).expand(f, h, w, -1)
            return torch.cat([t, y, x], dim=-1).reshape(1, f * h * w, 1, -1)

        return table(self.cos_0, self.cos_1, self.cos_2), table(self.sin_0, self.sin_1, self.sin_2)


def apply_rotary_emb(x, cos, sin):
    """x [B, S, H, D]; neighbouring channels form the rotated pairs."""
    real, imag = x.reshape(x.shape[0], x.shape[1], x.shape[2], -1, 2).unbind(-1)
    rotated = torch.stack([-imag, real], dim=-1).flatten(3)
    return (x.float() * cos + rotated.float() * sin).to(x.dtype)


def smooth_positions(length, dim, waves=8):
    """Start of a position embedding: random mixtures of slow sines and cosines, so that neighbours are alike."""
    angle = torch.outer(torch.arange(length) + 0.5, torch.arange(1, waves + 1)) * (math.pi / length)
    basis = torch.cat([angle.sin(), angle.cos()], dim=1)
    return 0.3 * basis @ torch.randn(2 * waves, dim) / math.sqrt(waves)


class Attention(nn.Module):
    def __init__(self, cfg, context_dim=None):
        super().__init__()
        dim = cfg.dim
        self.heads, self.head_dim = cfg.heads, cfg.head_dim
        self.to_q = nn.Linear(dim, dim)
        self.to_k = nn.Linear(context_dim or dim, dim)
        self.to_v = nn.Linear(context_dim or dim, dim)
        self.norm_q = RMSNorm(cfg.head_dim, cfg.eps)
        self.norm_k = RMSNorm(cfg.head_dim, cfg.eps)
        self.to_out = nn.Linear(dim, dim)
        self.capture = None             # a list: forward appends its (query, key, value), [B, H, S, D]

    def forward(self, hidden_states, context=None, rotary_emb=None):
        context = hidden_states if context is None else context
        query, key, value = self.to_q(hidden_states), self.to_k(context), self.to_v(context)
        if rotary_emb is not None:      # both ways to write the head split occur in real models
            query, key, value = (x.unflatten(2, (self.heads, -1)) for x in (query, key, value))
        else:
            batch = hidden_states.shape[0]
            query, key, value = (x.view(batch, -1, self.heads, self.head_dim) for x in (query, key, value))
        query, key = self.norm_q(query), self.norm_k(key)
        if rotary_emb is not None:
            query = apply_rotary_emb(query, *rotary_emb)
            key = apply_rotary_emb(key, *rotary_emb)
        query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        if self.capture is not None:
            self.capture.append((query, key, value))
        hidden_states = F.scaled_dot_product_attention(query, key, value)
        hidden_states = hidden_states.transpose(1, 2).flatten(2, 3)
        return self.to_out(hidden_states)


class FeedForward(nn.Module):
    def __init__(self, dim, inner_dim):
        super().__init__()
        self.proj_in = nn.Linear(dim, inner_dim)
        self.proj_out = nn.Linear(inner_dim, dim)

    def forward(self, x):
        return self.proj_out(F.gelu(self.proj_in(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.norm1 = nn.LayerNorm(cfg.dim, cfg.eps, elementwise_affine=False)
        self.attn1 = Attention(cfg)
        self.norm2 = nn.LayerNorm(cfg.dim, cfg.eps)
        self.attn2 = Attention(cfg, context_dim=cfg.text_inner_dim)
        self.norm3 = nn.LayerNorm(cfg.dim, cfg.eps, elementwise_affine=False)
        self.ffn = FeedForward(cfg.dim, cfg.ffn_dim)
        self.scale_shift_table = nn.Parameter(torch.zeros(1, 6, cfg.dim))

    def forward(self, hidden_states, encoder_hidden_states, timestep_proj, rotary_emb):
        shift_msa, scale_msa, gate_msa, shift_ffn, scale_ffn, gate_ffn = (
            self.scale_shift_table + timestep_proj).chunk(6, dim=1)
        x = self.norm1(hidden_states) * (1 + scale_msa) + shift_msa
        hidden_states = hidden_states + self.attn1(x, rotary_emb=rotary_emb) * gate_msa
        hidden_states = hidden_states + self.attn2(self.norm2(hidden_states), encoder_hidden_states)
        x = self.norm3(hidden_states) * (1 + scale_ffn) + shift_ffn
        return hidden_states + self.ffn(x) * gate_ffn


class ConditionEmbedder(nn.Module):
    """Embeds the timestep (sinusoids, MLP, shared modulation) and projects the condition tokens."""

    def __init__(self, cfg):
        super().__init__()
        self.freq_dim = cfg.freq_dim
        self.time_in = nn.Linear(cfg.freq_dim, cfg.dim)
        self.time_out = nn.Linear(cfg.dim, cfg.dim)
        self.time_proj = nn.Linear(cfg.dim, 6 * cfg.dim)
        self.text_in = nn.Linear(cfg.text_dim, 2 * cfg.text_inner_dim)
        self.text_out = nn.Linear(2 * cfg.text_inner_dim, cfg.text_inner_dim)

    def forward(self, timestep, encoder_hidden_states):
        half = self.freq_dim // 2
        exponent = -math.log(10000) * torch.arange(half, dtype=torch.float32, device=timestep.device) / half
        angle = timestep[:, None].float() * torch.exp(exponent)[None]
        freqs = torch.cat([torch.cos(angle), torch.sin(angle)], dim=-1).to(encoder_hidden_states.dtype)
        temb = self.time_out(F.silu(self.time_in(freqs)))
        timestep_proj = self.time_proj(F.silu(temb)).unflatten(1, (6, -1))
        text = self.text_out(F.gelu(self.text_in(encoder_hidden_states), approximate="tanh"))
        return temb, timestep_proj, text


class TinyVideoDiT(nn.Module):
    def __init__(self, cfg=Config()):
        super().__init__()
        self.cfg = cfg
        dim = cfg.dim
        self.rope = RotaryPosEmbed(cfg.head_dim, cfg.max_grid, cfg.rope_theta)
        self.patch_embedding = nn.Conv3d(cfg.channels, dim, kernel_size=cfg.patch, stride=cfg.patch)
        # RoPE is relative; "the disc starts at the left" is not. A factorised learnt embedding tells where a token is.
        frames, rows, columns = (smooth_positions(n, dim) for n in cfg.max_grid)
        self.pos_frame = nn.Parameter(frames.view(-1, 1, 1, dim))
        self.pos_row = nn.Parameter(rows.view(1, -1, 1, dim))
        self.pos_col = nn.Parameter(columns.view(1, 1, -1, dim))
        self.condition_embedder = ConditionEmbedder(cfg)
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.layers))
        self.norm_out = nn.LayerNorm(dim, cfg.eps, elementwise_affine=False)
        self.scale_shift_table = nn.Parameter(torch.zeros(1, 2, dim))
        self.proj_out = nn.Linear(dim, cfg.channels * math.prod(cfg.patch))
        self._init_weights()

    def _init_weights(self):
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.patch_embedding.weight.flatten(1))
        for zero in (self.condition_embedder.time_proj, self.proj_out, *(b.attn2.to_out for b in self.blocks)):
            nn.init.zeros_(zero.weight)     # every block starts as the identity

    def forward(self, hidden_states, timestep, encoder_hidden_states):
        batch, _, frames, height, width = hidden_states.shape
        p_t, p_h, p_w = self.cfg.patch
        f, h, w = frames // p_t, height // p_h, width // p_w
        rotary_emb = self.rope((f, h, w))

        hidden_states = self.patch_embedding(hidden_states).flatten(2).transpose(1, 2)
        hidden_states = hidden_states.reshape(batch, f, h, w, -1) + self.pos_frame[:f]
        hidden_states = (hidden_states + self.pos_row[:, :h] + self.pos_col[:, :, :w]).reshape(batch, f * h * w, -1)
        temb, timestep_proj, text = self.condition_embedder(timestep, encoder_hidden_states)

        for block in self.blocks:
            hidden_states = block(hidden_states, text, timestep_proj, rotary_emb)

        shift, scale = (self.scale_shift_table + temb.unsqueeze(1)).chunk(2, dim=1)
        hidden_states = self.proj_out(self.norm_out(hidden_states) * (1 + scale) + shift)
        hidden_states = hidden_states.reshape(batch, f, h, w, p_t, p_h, p_w, -1).permute(0, 7, 1, 4, 2, 5, 3, 6)
        return hidden_states.flatten(6, 7).flatten(4, 5).flatten(2, 3)


# --- weights: one safetensors file, fp16 -------------------------------------------------------------------------

TRANSPOSED = "transposed"   # metadata key: the Linear weights stored as [in, out], as the ONNX MatMuls want them


def save_weights(state_dict, path, transposed=()):
    """Writes fp16 safetensors, largest tensor first, every tensor of at least 64 bytes aligned to 64 (the ONNX graphs
    refer to the same bytes as external data). Returns {name: (offset in the file, length)}."""
    tensors = {n: (t.T if n in transposed else t).to(torch.float16).contiguous() for n, t in state_dict.items()}
    names = sorted(tensors, key=lambda n: (-tensors[n].nbytes, n))
    header, offset = {"__metadata__": {"format": "pt", TRANSPOSED: " ".join(sorted(transposed))}}, 0
    for name in names:
        header[name] = {"dtype": "F16", "shape": list(tensors[name].shape),
                        "data_offsets": [offset, offset + tensors[name].nbytes]}
        offset += tensors[name].nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            out.write(tensors[name].cpu().numpy().tobytes())
    return {n: (8 + len(text) + header[n]["data_offsets"][0], tensors[n].nbytes) for n in names}


def load_weights(path):
    """The state dict in PyTorch's own layouts, fp16."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    transposed = header.pop("__metadata__")[TRANSPOSED].split()
    state = {}
    for name, entry in header.items():
        begin, end = (8 + length + o for o in entry["data_offsets"])
        tensor = torch.frombuffer(data[begin:end], dtype=torch.float16).reshape(entry["shape"])
        state[name] = tensor.T.contiguous() if name in transposed else tensor
    return state


def load_model(path, dtype=torch.float32):
    model = TinyVideoDiT()
    model.load_state_dict(load_weights(path))
    rope = model.rope
    model.rope = None
    model.to(dtype).rope = rope         # cos and sin stay fp32, as in the large models
    return model.eval().requires_grad_(False)


if __name__ == "__main__":
    model = TinyVideoDiT()
    print(asdict(model.cfg))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
