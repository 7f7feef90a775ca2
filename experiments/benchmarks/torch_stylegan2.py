"""StyleGAN2's networks and its training in plain PyTorch, for comparison only.

Written as a PyTorch user would write them, on parameters of our names: `tensors` copies ours, so
that the benchmark can show that both compute the same. Modulated convolutions come in two forms:
`grouped`, a kernel for every sample, as published code has it, and `shared`, which scales inputs
and outputs around one kernel, as `jaxedit.layers.convolution.modulated` does. They need
`pip install jaxedit[bench]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

FORMS = ("grouped", "shared")
Parameters = Mapping[str, Any]  # nested, of tensors


def tensors(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Copies our nested parameters: kernels become (O, I, h, w), dense ones (O, I).

    Those of transposed convolutions are (h, w, O, I) with us and (I, O, h, w) there.
    """
    result = {}
    for name, leaf in tree.items():
        if isinstance(leaf, Mapping):
            result[name] = tensors(leaf)
            continue
        array = torch.from_numpy(np.array(leaf, np.float32))
        if name == "constant":
            array = array.permute(2, 0, 1)
        elif name == "kernel":
            array = array.movedim((-1, -2), (0, 1))
        result[name] = array.contiguous()
    return result


def leaves(tree: Parameters) -> list[torch.Tensor]:
    """Returns all tensors of nested ones."""
    parts = ((leaves(one) if isinstance(one, Mapping) else [one]) for one in tree.values())
    return [leaf for part in parts for leaf in part]


def leaky(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


def linear(p: Parameters, x: torch.Tensor, rate: float = 1.0, active: bool = False) -> torch.Tensor:
    """A dense layer with equalised learning rate."""
    y = F.linear(x, p["kernel"] * (rate / math.sqrt(x.shape[-1])), p["bias"] * rate)
    return leaky(y) if active else y


def blur(x: torch.Tensor, before: int, after: int, gain: float = 1.0) -> torch.Tensor:
    """[1, 3, 3, 1] along both axes."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8 * math.sqrt(gain)
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(F.pad(x, (before, after, before, after)), kernel, groups=x.shape[1])


def modulated(
    p: Parameters, x: torch.Tensor, code: torch.Tensor, form: str, *, demodulate: bool = True,
    double: bool = False,
) -> torch.Tensor:
    """A convolution whose kernel every sample's code scales."""
    kernel = p["kernel"] / math.sqrt(p["kernel"][0].numel())
    style, samples = linear(p["modulation"], code), len(x)
    if form == "shared":
        y = _convolve(x * style[:, :, None, None], kernel[None], double)
        if not demodulate:
            return y
        norms = style.square() @ kernel.square().sum((2, 3)).T
        return y * (norms + 1e-8).rsqrt()[:, :, None, None]
    kernels = kernel[None] * style[:, None, :, None, None]
    if demodulate:
        kernels = kernels * (kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    y = _convolve(x.reshape(1, -1, *x.shape[2:]), kernels, double)
    return y.reshape(samples, -1, *y.shape[2:])


def _convolve(x: torch.Tensor, kernels: torch.Tensor, double: bool) -> torch.Tensor:
    """`kernels` (groups, O, I, h, w), a group for each part of the channels of x."""
    groups = len(kernels)
    if not double:
        return F.conv2d(x, kernels.flatten(0, 1), padding=kernels.shape[-1] // 2, groups=groups)
    y = F.conv_transpose2d(x, kernels.transpose(1, 2).flatten(0, 1), stride=2, groups=groups)
    return blur(y, 1, 1, gain=4.0)


def mapped(p: Parameters, z: torch.Tensor, rate: float = 0.01) -> torch.Tensor:
    """Random vectors (B, W) to codes (B, W)."""
    z = z * (z.square().mean(-1, keepdim=True) + 1e-8).rsqrt()
    for index in range(sum(name.startswith("mapping_") for name in p)):
        z = linear(p[f"mapping_{index}"], z, rate, active=True)
    return z


def synthesised(
    p: Parameters, codes: torch.Tensor, noise: Sequence[torch.Tensor], form: str = "shared",
    tap: int = 0, inject: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Codes (B, n, W) and noise (B or 1, 1, r, r) each to pictures, and the map of side `tap`.

    `inject` takes the place of that map.
    """

    def styled(p, x, at, noise, double=False):
        y = modulated(p["conv"], x, codes[:, at], form, double=double)
        return leaky(y + p["noise_strength"] * noise + p["bias"][:, None, None])

    def coloured(p, x, at):
        y = modulated(p["conv"], x, codes[:, at], form, demodulate=False)
        return y + p["bias"][:, None, None]

    tapped = None
    x = p["constant"].expand(len(codes), -1, -1, -1)
    x = styled(p["conv1"], x, 0, noise[0])
    picture = coloured(p["to_rgb1"], x, 1)
    for block in range(sum(name.startswith("to_rgbs_") for name in p)):
        at = 2 * block + 1
        x = styled(p[f"convs_{2 * block}"], x, at, noise[at], double=True)
        if x.shape[-1] == tap:
            tapped = x
            x = x if inject is None else inject
        x = styled(p[f"convs_{2 * block + 1}"], x, at + 1, noise[at + 1])
        picture = coloured(p[f"to_rgbs_{block}"], x, at + 2) + _doubled(picture)
    return picture, tapped


def _doubled(picture: torch.Tensor) -> torch.Tensor:
    """Zeros between pixels, then the blur."""
    samples, colours, height, width = picture.shape
    wide = picture.new_zeros(samples, colours, 2 * height, 2 * width)
    wide[:, :, ::2, ::2] = picture
    return blur(wide, 2, 1, gain=4.0)


def scored(p: Parameters, x: torch.Tensor, group: int = 4) -> torch.Tensor:
    """Pictures (B, 3, H, W) to scores (B, 1)."""

    def conv(p, x, halve=False, active=True):
        kernel = p["kernel"] / math.sqrt(p["kernel"][0].numel())
        side = kernel.shape[-1]
        x = blur(x, (side + 2) // 2, (side + 1) // 2) if halve else x
        y = F.conv2d(x, kernel, p.get("bias"), 2 if halve else 1, 0 if halve else side // 2)
        return leaky(y) if active else y

    x = conv(p["from_rgb"], x)
    blocks = [name for name in p if name.startswith("block_")]
    for name in sorted(blocks, key=lambda name: -int(name.removeprefix("block_"))):
        block = p[name]
        y = conv(block["conv2"], conv(block["conv1"], x), halve=True)
        x = (y + conv(block["skip"], x, halve=True, active=False)) / math.sqrt(2)
    group = next(n for n in range(min(group, len(x)), 0, -1) if len(x) % n == 0)
    deviation = x.reshape(group, -1, *x.shape[1:]).var(0, unbiased=False)
    deviation = (deviation + 1e-8).sqrt().mean((1, 2, 3)).repeat(group)[:, None, None, None]
    x = conv(p["final_conv"], torch.cat([x, deviation.expand(-1, 1, *x.shape[2:])], 1))
    return linear(p["score"], linear(p["final_linear"], x.flatten(1), active=True))


class Training:
    """The four phases of a step; each is a method without arguments that does one.

    Attributes:
      loss: of the last phase.
    """

    def __init__(
        self, generator: Parameters, discriminator: Parameters, real: np.ndarray,
        loss: Mapping[str, float], lr: float, decay: float, form: str,
    ):
        """Keeps copies of our parameters.

        Args:
          generator, discriminator: ours.
          real: (B, H, W, 3) in [-1, 1].
          loss: of the configuration: weights, and how often penalties are due.
          lr: Adam's rate.
          decay: of the averaged generator.
          form: of modulated convolutions, one of FORMS.
        """
        torch.manual_seed(0)
        self._loss, self._decay, self._form = loss, decay, form
        self._real = torch.from_numpy(np.array(real)).permute(0, 3, 1, 2).contiguous()
        self.generator, self.discriminator = tensors(generator), tensors(discriminator)
        self._trained = {"g": leaves(self.generator), "d": leaves(self.discriminator)}
        for parts in self._trained.values():
            for leaf in parts:
                leaf.requires_grad_()
        self._average = [leaf.detach().clone() for leaf in self._trained["g"]]
        adam = lambda name, every: torch.optim.Adam(
            self._trained[name], lr * every / (every + 1), (0.0, 0.99 ** (every / (every + 1)))
        )
        self._optimizers = {
            "g": adam("g", loss["path_length_every"]), "d": adam("d", loss["r1_every"])
        }
        self._mean_length = torch.zeros(())
        self.loss = 0.0

    def _codes(self, count: int) -> torch.Tensor:
        blocks = sum(name.startswith("to_rgbs_") for name in self.generator)
        total, width = 2 * blocks + 2, self.generator["mapping_0"]["bias"].shape[0]
        first, second = (mapped(self.generator, torch.randn(count, width)) for _ in range(2))
        mixed = bool(torch.rand(()) < self._loss["mixing"])
        place = int(torch.randint(1, total, ())) if mixed else total
        own = (torch.arange(total) < place)[None, :, None]
        return torch.where(own, first[:, None], second[:, None])

    def _draw(self, codes: torch.Tensor) -> torch.Tensor:
        noise = [torch.randn(len(codes), 1, side, side) for side in self._sides(codes.shape[1])]
        return synthesised(self.generator, codes, noise, self._form)[0]

    @staticmethod
    def _sides(codes: int) -> list[int]:
        return [2 ** ((i + 5) // 2) for i in range(codes - 1)]

    def _step(self, name: str, loss: torch.Tensor) -> None:
        optimizer = self._optimizers[name]
        for leaf, gradient in zip(
            self._trained[name],
            torch.autograd.grad(loss, self._trained[name], allow_unused=True), strict=True,
        ):
            leaf.grad = torch.zeros_like(leaf) if gradient is None else gradient
        optimizer.step()
        self.loss = float(loss.detach())

    def d(self) -> None:
        """Tells real pictures from made ones."""
        with torch.no_grad():
            fake = self._draw(self._codes(len(self._real)))
        real_scores = scored(self.discriminator, self._real)
        fake_scores = scored(self.discriminator, fake)
        self._step("d", F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean())

    def d_reg(self) -> None:
        """R1."""
        real = self._real.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(
            scored(self.discriminator, real).sum(), real, create_graph=True
        )
        penalty = gradient.square().flatten(1).sum(1).mean()
        self._step("d", self._loss["r1"] / 2 * self._loss["r1_every"] * penalty)

    def g(self) -> None:
        """Passes for real."""
        fake = self._draw(self._codes(len(self._real)))
        self._step("g", F.softplus(-scored(self.discriminator, fake)).mean())
        with torch.no_grad():
            torch._foreach_lerp_(self._average, self._trained["g"], 1 - self._decay)

    def g_reg(self) -> None:
        """Path lengths."""
        loss = self._loss
        codes = self._codes(max(1, len(self._real) // loss["path_length_share"]))
        fake = self._draw(codes)
        direction = torch.randn_like(fake) / math.sqrt(fake.shape[2] * fake.shape[3])
        (gradient,) = torch.autograd.grad((fake * direction).sum(), codes, create_graph=True)
        lengths = gradient.square().sum(-1).mean(1).sqrt()
        moved = self._mean_length + loss["path_length_decay"] * (
            lengths.mean() - self._mean_length
        )
        self._mean_length = moved.detach()
        penalty = (lengths - moved).square().mean()
        self._step("g", loss["path_length"] * loss["path_length_every"] * penalty)


def phases(training: Training) -> dict[str, Callable[[], None]]:
    """Returns name -> what does one."""
    return {name: getattr(training, name) for name in ("d", "d_reg", "g", "g_reg")}
