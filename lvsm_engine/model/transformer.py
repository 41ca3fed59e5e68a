"""The block of the published architectures, the parts that every architecture uses, and the one function that computes attention.

Letters in shapes: B scenes, S sequences a scene, V views a sequence, n tokens a view, N = V * n tokens a sequence,
M tokens of the shared context, H heads, d channels a head, D = H * d the width.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .camera_encoding import CameraEncoding
from .config import ModelConfig

# A block may move a proxy point this far along its ray, in units of the scene frame.
DEPTH_REACH = 0.8
# Of the published LVSM's norms of queries and keys.
HEAD_EPSILON = 1e-5


def never_stop() -> None:
    """The check between blocks that does nothing."""


def at_least_float32(x: Tensor) -> Tensor:
    """For what loses too much in bfloat16."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class KeysValues(NamedTuple):
    """What a block kept of a context that later sequences attend to: keys, values (B, H, M, d)."""

    keys: Tensor
    values: Tensor


def attention(q: Tensor, k: Tensor, v: Tensor, context: KeysValues | None = None) -> Tensor:
    """Softmax attention of S sequences a scene, each over itself and over the scene's context.

    q, k, v: (B, S, H, N, d). context: keys and values (B, H, M, d) that all S sequences see. Returns (B, S, H, N, d).
    Training in bf16 on a CPU computes plain products, whose gradients are faster than the fused kernel's and which copy no
    context for each sequence; all else is the fused kernel's, which keeps no logits.
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.requires_grad:
        return _plain_attention(q, k, v, context)
    if context is not None:
        S = q.shape[1]
        k = torch.cat([context.keys[:, None].expand(-1, S, -1, -1, -1), k], dim=3)
        v = torch.cat([context.values[:, None].expand(-1, S, -1, -1, -1), v], dim=3)
    out = nn.functional.scaled_dot_product_attention(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1))
    return out.unflatten(0, q.shape[:2])


def _plain_attention(q: Tensor, k: Tensor, v: Tensor, context: KeysValues | None) -> Tensor:
    """Attention as products of matrices, all logits at once."""
    B, S, H, N, d = q.shape
    q = q / math.sqrt(d)
    logits = q @ k.transpose(-1, -2)  # (B, S, H, N, keys of the sequence)
    if context is None:
        return logits.softmax(-1) @ v
    q_of_scene = q.transpose(1, 2).reshape(B, H, S * N, d)
    to_context = q_of_scene @ context.keys.transpose(-1, -2)  # (B, H, S * N, M)
    to_sequence = logits.transpose(1, 2).reshape(B, H, S * N, -1)
    M, n = to_context.shape[-1], to_sequence.shape[-1]
    of_context, of_sequence = torch.cat([to_context, to_sequence], dim=-1).softmax(-1).split([M, n], dim=-1)
    from_context = (of_context @ context.values).reshape(B, H, S, N, d).transpose(1, 2)
    return of_sequence.reshape(B, H, S, N, n).transpose(1, 2) @ v + from_context


class HeadNorm(nn.Module):
    """RMS norm of each head's channels, computed in float32 at least; the weight multiplies in the input's dtype.

    epsilon: added to the mean square; None: the least that the precision computed in tells from 1, minus 1.
    """

    def __init__(self, head_width: int, epsilon: float | None = HEAD_EPSILON) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(head_width))
        self._epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        normed = nn.functional.rms_norm(at_least_float32(x), (x.shape[-1],), eps=self._epsilon)
        return normed.to(x.dtype) * self.weight.to(x.dtype)


class Attention(nn.Module):
    """Multi-head attention within sequences, and from them to a context."""

    def __init__(self, config: ModelConfig, norm_epsilon: float | None = HEAD_EPSILON) -> None:
        super().__init__()
        self.heads = config.heads
        self.to_qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.to_out = nn.Linear(config.width, config.width, bias=False)
        self.q_norm = HeadNorm(config.head_width, norm_epsilon) if config.qk_norm else nn.Identity()
        self.k_norm = HeadNorm(config.head_width, norm_epsilon) if config.qk_norm else nn.Identity()

    def forward(
        self, x: Tensor, encoding: CameraEncoding | None, context: KeysValues | None
    ) -> tuple[Tensor, KeysValues]:
        """x: (B, S, N, D); encoding: of the S * V views of these sequences. Returns (B, S, N, D), keys and values."""
        B, S, N, D = x.shape
        q, k, v = self.to_qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(3)  # (B, S, N, H, d) each
        q, k = self.q_norm(q), self.k_norm(k)
        if encoding is not None:
            of_views = (B, encoding.matrices.shape[1], -1, *q.shape[3:])  # (B, S * V, n, H, d)
            q = encoding.queries(q.reshape(of_views)).reshape(q.shape)
            k = encoding.keys(k.reshape(of_views)).reshape(k.shape)
            v = encoding.values(v.reshape(of_views)).reshape(v.shape)
        q, k, v = (part.transpose(2, 3) for part in (q, k, v))  # (B, S, H, N, d)
        out = attention(q, k, v, context).transpose(2, 3)  # (B, S, N, H, d)
        if encoding is not None:
            out = encoding.outputs(out.reshape(of_views)).reshape(out.shape)
        # Only sequences that are a whole scene (S = 1) are kept as context.
        return self.to_out(out.reshape(B, S, N, D)), KeysValues(k[:, 0], v[:, 0])


def feed_forward(config: ModelConfig) -> nn.Sequential:
    """A block's MLP, without biases."""
    hidden = config.mlp_ratio * config.width
    return nn.Sequential(
        nn.Linear(config.width, hidden, bias=False), nn.GELU(), nn.Linear(hidden, config.width, bias=False)
    )


class Block(nn.Module):
    """Pre-norm transformer block without biases (paper, section 3.2, and appendix)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, bias=False)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.width, bias=False)
        self.mlp = feed_forward(config)
        self.to_depth = nn.Linear(config.width, config.heads) if config.predicted_depth else None

    def forward(
        self, x: Tensor, encoding: CameraEncoding | None = None, context: KeysValues | None = None
    ) -> tuple[Tensor, KeysValues]:
        """x: (B, S, N, D) -> the same shape, and this block's keys and values of the first sequence."""
        normed = self.norm1(x)
        if self.to_depth is not None and encoding is not None:
            depth = DEPTH_REACH * self.to_depth(normed).tanh()  # (B, S, N, H)
            encoding = encoding.moved(depth.reshape(x.shape[0], encoding.matrices.shape[1], -1, depth.shape[-1]))
        attended, keys_values = self.attention(normed, encoding, context)
        x = x + attended
        return x + self.mlp(self.norm2(x)), keys_values


def initialise_blocks(blocks: Iterable[nn.Module]) -> None:
    """Depth-scaled initialisation: block i's matrices are normal with std 0.02 / sqrt(2 (i + 1))."""
    for i, block in enumerate(blocks):
        for module in block.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02 / math.sqrt(2 * (i + 1)))
        if isinstance(block, Block) and block.to_depth is not None:
            nn.init.zeros_(block.to_depth.weight)
            nn.init.zeros_(block.to_depth.bias)
