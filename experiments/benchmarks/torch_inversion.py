"""SDIC's inversion in plain PyTorch, for comparison only: e4e, DIPN with 3-D convolutions, DICN.

Functions of parameters and running statistics of our names, see `tensors`; nothing is trained.
They need `pip install jaxedit[bench]`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional as F

from experiments.benchmarks import torch_stylegan2
from experiments.benchmarks.torch_stylegan2 import Parameters

_CONVOLUTIONS = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}  # by dimensions of the kernel
_TRANSPOSED = {4: F.conv_transpose2d, 5: F.conv_transpose3d}


def tensors(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Copies a network's variables; statistics lie beside the parameters of their layer."""

    def joined(params: Mapping, stats: Mapping) -> dict[str, Any]:
        names = {**params, **stats}
        return {
            name: joined(params.get(name, {}), stats.get(name, {}))
            if isinstance(leaf, Mapping) else leaf for name, leaf in names.items()
        }

    return torch_stylegan2.tensors(joined(variables["params"], variables.get("batch_stats", {})))


def _conv(p: Parameters, x: torch.Tensor, strides: int = 1) -> torch.Tensor:
    kernel = p["kernel"]
    padding = [side // 2 for side in kernel.shape[2:]]
    return _CONVOLUTIONS[kernel.ndim](x, kernel, p.get("bias"), strides, padding)


def _norm(p: Parameters, x: torch.Tensor) -> torch.Tensor:
    # Statistics are no parameters, also where all tensors are asked for gradients.
    mean, variance = p["mean"].detach(), p["var"].detach()
    return F.batch_norm(x, mean, variance, p["scale"], p["bias"])


def _basic(p: Parameters, x: torch.Tensor, strides: int = 1, up: bool = False) -> torch.Tensor:
    """Convolution, BN, leaky ReLU."""
    if up:
        kernel = p["conv"]["kernel"]
        y = _TRANSPOSED[kernel.ndim](x, kernel, stride=2, padding=1)
    else:
        y = _conv(p["conv"], x, strides)
    return F.leaky_relu(_norm(p["bn"], y))


def _block(p: Parameters, x: torch.Tensor, strides: int = 1) -> torch.Tensor:
    """IR or IR-SE."""
    if "shortcut_layer_0" in p:
        kernel = p["shortcut_layer_0"]["kernel"]
        shortcut = _norm(p["shortcut_layer_1"], F.conv2d(x, kernel, stride=strides))
    else:
        shortcut = x[:, :, ::strides, ::strides]
    y = _conv(p["res_layer_1"], _norm(p["res_layer_0"], x))
    y = _conv(p["res_layer_3"], F.prelu(y, p["res_layer_2"]["slope"]), strides)
    y = _norm(p["res_layer_4"], y)
    if "res_layer_5_fc1" in p:
        gate = F.relu(_conv(p["res_layer_5_fc1"], y.mean((2, 3), keepdim=True)))
        y = y * torch.sigmoid(_conv(p["res_layer_5_fc2"], gate))
    return y + shortcut


def encoded(p: Parameters, image: torch.Tensor, blocks: Sequence[int]) -> torch.Tensor:
    """e4e: pictures (B, 3, H, W) to codes (B, n, W), relative to the average."""
    trunk = p["trunk"]
    x = _norm(trunk["input_layer_1"], _conv(trunk["input_layer_0"], image))
    x = F.prelu(x, trunk["input_layer_2"]["slope"])
    groups, number = [], 0
    for count in blocks:
        for index in range(count):
            x = _block(trunk[f"body_{number}"], x, 1 if index else 2)
            number += 1
        groups.append(x)
    up = lambda x, like: F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)
    _, fine, middle, coarse = groups
    middle = up(coarse, middle) + _conv(p["latlayer1"], middle)
    fine = up(middle, fine) + _conv(p["latlayer2"], fine)
    codes = []
    for index in range(sum(name.startswith("styles_") for name in p)):
        head = p[f"styles_{index}"]
        x = (coarse, middle, fine)[(index >= 3) + (index >= 7)]
        for step in range(len(head) - 1):
            x = F.leaky_relu(_conv(head[f"convs_{2 * step}"], x, 2))
        codes.append(torch_stylegan2.linear(head["linear"], x[:, :, 0, 0]))
    return torch.stack([codes[0], *(codes[0] + one for one in codes[1:])], 1)


def discrepancy(p: Parameters, original: torch.Tensor, initial: torch.Tensor) -> torch.Tensor:
    """DIPN: (B, 3, H, W) twice to (B, 3, H, W)."""
    pairs = ((p["feature1"], original), (p["feature2"], initial))
    left, right = (_up(p["feature_up"], _down(down, picture)) for down, picture in pairs)
    described = [_conv(p["desc"], _basic(p["conv"], one[0])) for one in (left, right)]
    volume = _basic(p["corr_stem"], torch.cat(described, 1)[:, None])
    x = _hourglass(p["hourglass_fusion"], volume, left[1:])[:, 0]
    x = _conv(p["rgb1_1"], _basic(p["rgb1_0"], x))
    x = F.relu(_norm(p["rgb1_2"], x))
    for index in range(3):
        x = _block(p[f"rgb_{index}"], x)
    return x


def _down(p: Parameters, x: torch.Tensor) -> list[torch.Tensor]:
    found = []
    for steps in (((1, 1),), ((2, 2), (3, 1)), ((4, 2),), ((5, 2),)):
        for number, strides in steps:
            x = _basic(p[f"fe{number}"], x, strides)
        found.append(x)
    return found


def _up(p: Parameters, features: list[torch.Tensor]) -> list[torch.Tensor]:
    x = features[-1]
    found = [x]
    names = ("deconv8_4", "deconv4_2", "deconv2_1")
    for name, skip in zip(names, features[-2::-1], strict=True):
        x = torch.cat([_basic(p[f"{name}_conv1"], x, up=True), skip], 1)
        x = _basic(p[f"{name}_conv2"], x)
        found.append(x)
    found[-1] = _basic(p["conv4"], x)
    return found[::-1]


def _fused(p: Parameters, volume: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    guide = _conv(p["semantic_1"], _basic(p["semantic_0"], features))[:, :, None]
    gate = _conv(p["att_1"], _basic(p["att_0"], guide + volume))
    return _basic(p["agg"], torch.sigmoid(gate) * guide + volume)


def _hourglass(
    p: Parameters, x: torch.Tensor, guides: list[torch.Tensor]
) -> torch.Tensor:
    maps = []
    for number in (1, 2, 3):
        x = _basic(p[f"conv{number}_1"], _basic(p[f"conv{number}_0"], x, 2))
        maps.append(x)
    x = _fused(p["CGF_32"], x, guides[2])
    for name, up, skip, fused, guide in (
        ("agg_0", "conv3_up", maps[1], "CGF_16", guides[1]),
        ("agg_1", "conv2_up", maps[0], "CGF_8", guides[0]),
    ):
        x = torch.cat([_basic(p[up], x, up=True), skip], 1)
        for index in range(3):
            x = _basic(p[f"{name}_{index}"], x)
        x = _fused(p[fused], x, guide)
    return F.conv_transpose3d(x, p["conv1_up_conv"]["kernel"], stride=2, padding=1)


def compensated(
    p: Parameters, x: torch.Tensor, feature: torch.Tensor, codes: torch.Tensor, side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """DICN: discrepancy, map of the generator and codes to that map and those codes."""

    def equal(p: Parameters, x: torch.Tensor) -> torch.Tensor:
        kernel = p["kernel"] / math.sqrt(p["kernel"][0].numel())
        return F.conv2d(x, kernel, p["bias"], padding=kernel.shape[-1] // 2)

    y = _norm(p["conv_layer1_1"], _conv(p["conv_layer1_0"], x))
    y = _basic(p["semantic_0"], F.prelu(y, p["conv_layer1_2"]["slope"]), 2)
    details = _conv(p["semantic_3"], _basic(p["semantic_2"], _conv(p["semantic_1"], y), 2))
    gate = _conv(p["att_1"], _basic(p["att_0"], details + feature))
    feature = torch.sigmoid(gate) * details + feature

    y = torch_stylegan2.leaky(equal(p["condition_shift3_0"], x))
    y = equal(p["condition_shift3_2"], y)
    y = F.interpolate(y, (side, side), mode="bilinear", align_corners=False)
    path = p["aff1d"]
    y = y.reshape(len(codes), -1, codes.shape[-1])
    y = F.leaky_relu(_norm(path["sen_1"], _conv(path["sen_0"], y)))
    y = _conv(path["sen_3"], y)
    factors = []
    for name in ("att", "att2"):
        z = F.leaky_relu(_norm(path[f"{name}_1"], _conv(path[f"{name}_0"], y)))
        factors.append(_conv(path[f"{name}_3"], z))
    scale, shift = factors
    return feature, codes + scale * codes + shift


def inverted(
    networks: Mapping[str, Parameters], average: torch.Tensor, image: torch.Tensor,
    noise: Sequence[torch.Tensor], tap: int, blocks: Sequence[int], form: str,
) -> dict[str, torch.Tensor]:
    """The whole way of square pictures (B, 3, 4 tap, 4 tap) in [-1, 1], by our names."""
    generator = networks["generator"]
    codes = encoded(networks["encoder"], image, blocks) + average
    first, feature = torch_stylegan2.synthesised(generator, codes, noise, form, tap)
    initial = F.interpolate(
        first.clamp(-1, 1), image.shape[2:], mode="bilinear", align_corners=False
    )
    found = discrepancy(networks["dipn"], image, initial)
    feature, codes = compensated(networks["dicn"], found, feature, codes, tap)
    picture, _ = torch_stylegan2.synthesised(generator, codes, noise, form, tap, feature)
    return {"initial": initial, "discrepancy": found, "picture": picture}
