"""SIMS' synthesis network and its training step in plain PyTorch, for comparison only.

Written as a PyTorch user would write them, in the memory layout that is fastest on CPU
(`channels_last`): the same parameters, layers and arithmetic as
`jaxedit/methods/sims/synthesis.py` and `features.py`. `load` copies our parameters, so that the
benchmark can show that both compute the same. They need `pip install jaxedit[bench]`.

`python -m experiments.benchmarks.torch_synthesis JSON` does the work on random data, in a process
that knows nothing of JAX, and prints the memory that it took, see `memory`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from experiments.benchmarks import memory as process_memory

_DEPTHS = (2, 2, 3, 3, 3, 3)
_VGG_DEPTHS, _VGG_WIDTHS = (2, 2, 4, 4, 4), (1, 2, 4, 8, 8)
_WANTED = ("conv1_2", "conv2_2", "conv3_2", "conv4_2", "conv5_2")
_MEAN = (123.68, 116.779, 103.939)
_SLOPE = 0.2


def _block(channels: int, features: int, count: int = 2) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(count):
        layers += [
            nn.Conv2d(features if i else channels, features, 3, padding=1, bias=False),
            nn.GroupNorm(1, features, eps=1e-12),  # over height, width and channels together
            nn.LeakyReLU(_SLOPE, inplace=True),
        ]
    return nn.Sequential(*layers)


def _resize(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def _double(x: torch.Tensor) -> torch.Tensor:
    return _resize(x, (2 * x.shape[2], 2 * x.shape[3]))


class SynthesisNetwork(nn.Module):
    """(B, classes + 5, H, W) to (photograph for 0..255, logits of classes + 1), of one or two
    stages.
    """

    def __init__(self, classes: int = 19, stages: int = 1, width: int = 64):
        super().__init__()
        self.stages, given = stages, classes + 5
        blocks: dict[str, nn.Module] = {}
        widths = [width * min(2**i, 8) for i in range(len(_DEPTHS))]
        before = given
        for i, count in enumerate(_DEPTHS):
            blocks[f"encoder_{i + 1}"] = _block(before, widths[i], count)
            before = widths[i]
        last = 0
        for k in range(len(_DEPTHS), 0, -1):
            features = width * (8 if k > 1 else 4)
            blocks[f"decoder_{k}"] = _block(given + widths[k - 1] + last, features)
            last = features
        blocks["decoder_final"] = _block(given + last, 4 * width)
        last = 4 * width
        if stages > 1:
            blocks["decoder_up"] = _block(given + last, 2 * width)
            last = 2 * width
        self.blocks = nn.ModuleDict(blocks)
        self.to_rgb = nn.Conv2d(last, 3, 1)
        self.to_semantic = nn.Conv2d(last, classes + 1, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        height, width = (side >> (self.stages - 1) for side in x.shape[2:])
        small = _resize(x, (height, width)) if self.stages > 1 else x
        pooled, level = [], small
        for i in range(len(_DEPTHS)):
            level = self.blocks[f"encoder_{i + 1}"](level)
            level = F.avg_pool2d(level, 3, 2, ceil_mode=True)  # padding is not averaged in
            pooled.append(level)
        level = None
        for k in range(len(_DEPTHS), 0, -1):
            parts = [_resize(x, (height >> k, width >> k)), pooled[k - 1]]
            parts += [] if level is None else [level]
            level = _double(self.blocks[f"decoder_{k}"](torch.cat(parts, 1)))
        level = self.blocks["decoder_final"](torch.cat([small, level], 1))
        if self.stages > 1:
            level = self.blocks["decoder_up"](torch.cat([x, _double(level)], 1))
        return (self.to_rgb(level) + 1) / 2 * 255, self.to_semantic(level)

    def load(self, params: Mapping[str, Any]) -> SynthesisNetwork:
        """Copies our parameters; returns itself."""
        for name, block in self.blocks.items():
            for i in range(len(block) // 3):
                conv, norm = block[3 * i], block[3 * i + 1]
                _copy(conv.weight, params[name][f"conv_{i}"]["kernel"])
                _copy(norm.weight, params[name][f"norm_{i}"]["scale"])
                _copy(norm.bias, params[name][f"norm_{i}"]["bias"])
        for name in ("to_rgb", "to_semantic"):
            head = getattr(self, name)
            _copy(head.weight, params[name]["kernel"])
            _copy(head.bias, params[name]["bias"])
        return self


class Features(nn.Module):
    """VGG-19's layers with average pools, as far as the deepest one that is compared."""

    def __init__(self, channels: int = 64):
        super().__init__()
        self.convolutions, before = nn.ModuleDict(), 3
        for block, count in enumerate(_VGG_DEPTHS, 1):
            for position in range(1, count + 1):
                name, width = f"conv{block}_{position}", _VGG_WIDTHS[block - 1] * channels
                self.convolutions[name] = nn.Conv2d(before, width, 3, padding=1)
                before = width
                if name == _WANTED[-1]:
                    return

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Returns the features of pictures (B, 3, H, W) in 0..255."""
        x, found = image - image.new_tensor(_MEAN).view(1, 3, 1, 1), []
        for name, conv in self.convolutions.items():
            if name.endswith("_1") and name != "conv1_1":
                x = F.avg_pool2d(x, 2)
            x = F.relu(conv(x))
            if name in _WANTED:
                found.append(x)
        return found

    def load(self, params: Mapping[str, Any]) -> Features:
        """Copies our parameters; returns itself, never to be trained."""
        for name, conv in self.convolutions.items():
            _copy(conv.weight, params[name]["kernel"])
            _copy(conv.bias, params[name]["bias"])
        return self.requires_grad_(False)


def training_step(
    network: SynthesisNetwork, features: Features, batch: Mapping[str, np.ndarray],
    weights: Sequence[float], semantic: float, decay: float, lr: float,
) -> Callable[[], float]:
    """Returns a function that does one step and returns its loss: features, labels, Adam, average.

    Args:
      network: trained.
      features: frozen.
      batch: `x` (B, H, W, C), what the network reads; `image` (B, H, W, 3) in 0..255; `label`
        (B, H, W).
      weights: of the picture's own term and of every layer.
      semantic: weight of the cross-entropy.
      decay: of the averaged parameters.
      lr: Adam's rate.
    """
    channels_last = {"memory_format": torch.channels_last}
    network.to(**channels_last), features.to(**channels_last)
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, lr)
    averages = [p.detach().clone() for p in parameters]
    x, image = (nchw(batch[name]) for name in ("x", "image"))
    label = torch.from_numpy(np.asarray(batch["label"], np.int64))

    def step() -> float:
        optimizer.zero_grad()
        picture, logits = network(x)
        with torch.no_grad():
            wanted = [image, *features(image)]
        pairs = zip(weights, wanted, [picture, *features(picture)], strict=True)
        loss = sum(weight * F.l1_loss(made, real) for weight, real, made in pairs)
        loss = loss + semantic * F.cross_entropy(logits, label)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(averages, parameters, 1 - decay)
        return float(loss.detach())

    return step


def nchw(array: np.ndarray) -> torch.Tensor:
    """Returns (B, H, W, C) as PyTorch has it, in its fastest layout."""
    return torch.from_numpy(np.array(array, np.float32)).permute(0, 3, 1, 2)


def _copy(parameter: nn.Parameter, array: Any) -> None:
    array = torch.from_numpy(np.array(array))
    with torch.no_grad():
        parameter.copy_(array.permute(3, 2, 0, 1) if array.ndim == 4 else array)


def memory(
    network: Mapping[str, int], size: Sequence[int], batch: int, loss: Mapping[str, Any] | None,
    features: int, repeats: int,
) -> dict[str, float]:
    """Returns what this process, which does nothing else, holds, in MiB; Linux.

    Args:
      network: classes, stages and width.
      size: (height, width).
      batch: samples.
      loss: what `training_step` wants beside networks and data; None paints.
      features: channels of the first block of the frozen network.
      repeats: how often the work is done.
    """
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    idle = process_memory.status("VmRSS")
    rng, classes = np.random.default_rng(0), network["classes"]
    random = lambda *shape: rng.random((batch, *size, *shape), np.float32)
    made, x = SynthesisNetwork(**network), random(classes + 5)
    if loss is None:
        made, x = made.to(memory_format=torch.channels_last), nchw(x)
        run = torch.inference_mode()(lambda: made(x)[0])
    else:
        frozen = Features(features).requires_grad_(False)
        label = rng.integers(0, classes, (batch, *size))
        data = {"x": x, "image": 255 * random(3), "label": label}
        run = training_step(made, frozen, data, **loss)
    running = process_memory.running(run, repeats)
    return {"idle": idle, "running": running, "peak": running}


if __name__ == "__main__":
    print(json.dumps(memory(**json.loads(sys.argv[1]))))
