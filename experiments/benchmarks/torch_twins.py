"""Plain PyTorch networks with the same parameters and arithmetic as ours, for comparison only.

Written as a PyTorch user would write them, in the memory layout that is fastest on CPU
(`channels_last`). They need `pip install jaxedit[bench]`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F


class AOTBlock(nn.Module):
    """The generator's block: dilated branches, fused, gated by a normalised map."""

    def __init__(self, channels: int, rates: Sequence[int]):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.ReflectionPad2d(rate),
                nn.Conv2d(channels, channels // len(rates), 3, dilation=rate),
                nn.ReLU(),
            )
            for rate in rates
        )
        self.fuse = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3))
        self.gate = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fused = self.fuse(torch.cat([branch(x) for branch in self.branches], 1))
        logits = self.gate(x)
        mean = logits.mean((2, 3), keepdim=True)
        deviation = logits.std((2, 3), keepdim=True) + 1e-9
        gate = torch.sigmoid(5 * (2 * (logits - mean) / deviation - 1))
        return x * (1 - gate) + fused * gate


class AOTGenerator(nn.Module):
    """AOT-GAN's generator with nearest upsampling: (B, 4, H, W) -> (B, 3, H, W)."""

    def __init__(self, channels: int = 64, blocks: int = 8, rates: Sequence[int] = (1, 2, 4, 8)):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(4, channels, 7),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * channels, 4 * channels, 4, stride=2, padding=1),
            nn.ReLU(),
            *[AOTBlock(4 * channels, rates) for _ in range(blocks)],
            nn.Upsample(scale_factor=2),
            nn.Conv2d(4 * channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, 3, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def aot_training_step(
    size: int, batch: int, channels: int = 64, blocks: int = 8, seed: int = 0
) -> Callable[[], None]:
    """Returns a function that does one step: L1 on random pictures, Adam."""
    torch.manual_seed(seed)
    network = AOTGenerator(channels, blocks).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    x = torch.rand(batch, 4, size, size).to(memory_format=torch.channels_last)
    target = torch.rand(batch, 3, size, size).to(memory_format=torch.channels_last)

    def step() -> None:
        optimizer.zero_grad()
        F.l1_loss(network(x), target).backward()
        optimizer.step()

    return step


def swin_block(
    x: torch.Tensor, weights: dict[str, torch.Tensor], heads: int, window: int, shift: int
) -> torch.Tensor:
    """A Swin block on (B, C, H, W) with H and W multiples of `window`; tokens are moved once."""
    samples, channels, height, width = x.shape
    rows, columns = height // window, width // window
    tokens = x.permute(0, 2, 3, 1)

    def norm(values: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(values, (channels,), weights[f"{name}.scale"], weights[f"{name}.bias"])

    def linear(values: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(values, weights[f"{name}.kernel"], weights[f"{name}.bias"])

    windows = torch.roll(norm(tokens, "norm1"), (-shift, -shift), (1, 2))
    windows = windows.reshape(samples, rows, window, columns, window, channels)
    windows = windows.transpose(2, 3).reshape(-1, window * window, channels)
    q, k, v = (
        part.unflatten(2, (heads, -1)).transpose(1, 2)
        for part in linear(windows, "attn.qkv").chunk(3, 2)
    )
    bias = weights["attn.bias.table"][_position_index(window)].permute(2, 0, 1)
    mask = _seam_mask(height, width, window, shift)[:, None] + bias
    mask = mask.expand(samples, *mask.shape).flatten(0, 1)
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    attended = linear(attended.transpose(1, 2).flatten(2), "attn.proj")
    attended = attended.reshape(samples, rows, columns, window, window, channels)
    attended = attended.transpose(2, 3).reshape(samples, height, width, channels)
    tokens = tokens + torch.roll(attended, (shift, shift), (1, 2))
    hidden = F.gelu(linear(norm(tokens, "norm2"), "mlp.fc1"))
    return (tokens + linear(hidden, "mlp.fc2")).permute(0, 3, 1, 2)


def unet_block(
    x: torch.Tensor, time: torch.Tensor, text: torch.Tensor, weights: dict[str, torch.Tensor],
    heads: int,
) -> torch.Tensor:
    """Stable Diffusion's resnet and transformer on (B, C, H, W), the time step's embedding
    (B, 4 C) and the text's states (B, tokens, D).
    """

    def norm(x, name, epsilon):
        scale, bias = (weights[f"{name}.{part}"] for part in ("scale", "bias"))
        return F.group_norm(x, 32, scale, bias, epsilon)

    def conv(x, name):
        kernel = weights[f"{name}.kernel"]
        return F.conv2d(x, kernel, weights[f"{name}.bias"], padding=kernel.shape[-1] // 2)

    def linear(x, name):
        return F.linear(x, weights[f"{name}.kernel"], weights.get(f"{name}.bias"))

    y = conv(F.silu(norm(x, "resnet.norm1", 1e-5)), "resnet.conv1")
    y = y + linear(F.silu(time), "resnet.time_emb_proj")[:, :, None, None]
    x = x + conv(F.silu(norm(y, "resnet.norm2", 1e-5)), "resnet.conv2")

    inner = "transformer.transformer_blocks_0"

    def layer_norm(x, name):
        scale, bias = (weights[f"{inner}.{name}.{part}"] for part in ("scale", "bias"))
        return F.layer_norm(x, x.shape[-1:], scale, bias)

    def attend(x, context, name):
        q, k, v = (
            linear(tokens, f"{inner}.{name}.to_{part}").unflatten(2, (heads, -1)).transpose(1, 2)
            for tokens, part in ((x, "q"), (context, "k"), (context, "v"))
        )
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return linear(attended, f"{inner}.{name}.to_out_0")

    y = conv(norm(x, "transformer.norm", 1e-6), "transformer.proj_in")
    tokens = y.permute(0, 2, 3, 1).flatten(1, 2)
    own = layer_norm(tokens, "norm1")
    tokens = tokens + attend(own, own, "attn1")
    tokens = tokens + attend(layer_norm(tokens, "norm2"), text, "attn2")
    value, gate = linear(layer_norm(tokens, "norm3"), f"{inner}.ff.net_0.proj").chunk(2, -1)
    tokens = tokens + linear(value * F.gelu(gate), f"{inner}.ff.net_2")
    y = tokens.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
    return x + conv(y, "transformer.proj_out")


@functools.cache
def _position_index(window: int) -> torch.Tensor:
    rows, columns = torch.arange(window**2) // window, torch.arange(window**2) % window
    apart = lambda at: at[:, None] - at[None, :] + window - 1
    return apart(rows) * (2 * window - 1) + apart(columns)


@functools.cache
def _seam_mask(height: int, width: int, window: int, shift: int) -> torch.Tensor:
    """(windows, n, n): -100 between tokens that the roll brought together."""
    part = lambda size: torch.bucketize(
        torch.arange(size), torch.tensor([size - window, size - shift]), right=True
    )
    parts = (3 * part(height)[:, None] + part(width)).reshape(
        height // window, window, width // window, window
    )
    parts = parts.transpose(1, 2).reshape(-1, window**2)
    return -100.0 * (parts[:, :, None] != parts[:, None, :])
