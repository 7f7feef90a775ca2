"""The layers that `experiments.benchmarks.layers` measures, each in JAX and in plain PyTorch.

PyTorch is imported inside of the functions that need it: without it, our own forms are measured.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.layers.convolution import conv2d
from jaxedit.layers.convolution.modulated import modulated_conv2d
from jaxedit.layers.convolution.transposed import conv_transpose2d
from jaxedit.layers.flash_attention import attention
from jaxedit.layers.group_norm import group_norm
from jaxedit.layers.resampling import upsample_bilinear, upsample_nearest
from jaxedit.layers.separable_blur import separable_blur
from jaxedit.models import swin
from jaxedit.models.diffusion.blocks import ResnetBlock
from jaxedit.models.diffusion.transformer import Transformer


@dataclasses.dataclass
class Case:
    """One layer at one size.

    Attributes:
      name: what it is.
      arguments: float32 arrays in our layout.
      kinds: of each argument, for PyTorch's layout: "map" (B, H, W, C), "kernel" (h, w, I, O),
        "dense" (I, O), or "" for no change.
      result: the same of the result.
      ours: mode -> the function of `arguments`.
      torch: the function of the arguments in PyTorch's layout.
    """

    name: str
    arguments: tuple[np.ndarray, ...]
    kinds: tuple[str, ...]
    result: str
    ours: dict[str, Callable]
    torch: Callable

    @property
    def cotangent(self) -> np.ndarray:
        shape = jax.eval_shape(self.ours["xla"], *self.arguments).shape
        return random(1, *shape)


def random(seed: int, *shape: int, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def both(function: Callable) -> dict[str, Callable]:
    """The same function in both modes: `layers.convolution.formulation` makes the difference."""
    return {"xla": function, "auto": function}


def convolution(
    batch: int, size: int, inputs: int, outputs: int, kernel: int = 3, **options: int
) -> Case:
    def torch_form(x, w):
        from torch.nn import functional as F

        strides = options.get("strides", 1)
        return F.conv2d(
            x, w, None, strides, options.get("padding", 0), options.get("dilation", 1)
        )

    extra = "".join(f" {name} {value}" for name, value in options.items())
    x = random(2, batch, size, size, inputs)
    w = random(3, kernel, kernel, inputs, outputs, scale=(kernel**2 * inputs) ** -0.5)
    return Case(
        f"convolution {kernel}x{kernel} {inputs}->{outputs}, {size} px, batch {batch}{extra}",
        (x, w), ("map", "kernel"), "map",
        both(lambda x, w: conv2d(x, w, **options)), torch_form,
    )


def transposed(batch: int, size: int, inputs: int, outputs: int) -> Case:
    def torch_form(x, w):
        from torch.nn import functional as F

        return F.conv_transpose2d(x, w, stride=2, padding=1)

    x = random(2, batch, size, size, inputs)
    w = random(3, 4, 4, outputs, inputs, scale=(4 * inputs) ** -0.5)
    return Case(
        f"transposed convolution 4x4 {inputs}->{outputs}, {size} px, batch {batch}",
        (x, w), ("map", "kernel"), "map", both(conv_transpose2d), torch_form,
    )


def upsampled(kind: str, batch: int, size: int, inputs: int, outputs: int) -> Case:
    def torch_form(x, w):
        from torch.nn import functional as F

        corners = {"align_corners": False} if kind == "bilinear" else {}
        return F.conv2d(F.interpolate(x, scale_factor=2, mode=kind, **corners), w, padding=1)

    upsample = {
        "nearest": upsample_nearest,
        "bilinear": functools.partial(upsample_bilinear, align_corners=False),
    }[kind]
    x = random(2, batch, size, size, inputs)
    w = random(3, 3, 3, inputs, outputs, scale=(9 * inputs) ** -0.5)
    return Case(
        f"{kind} x2 + 3x3 {inputs}->{outputs}, {size} px, batch {batch}",
        (x, w), ("map", "kernel"), "map",
        both(lambda x, w: conv2d(upsample(x), w, padding=1)), torch_form,
    )


def modulated(batch: int, size: int, channels: int) -> Case:
    def torch_form(x, w, s):
        from torch.nn import functional as F

        kernels = w[None] * s[:, None, :, None, None]
        kernels = kernels * (kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        samples, inputs, height, width = x.shape
        y = F.conv2d(
            x.reshape(1, samples * inputs, height, width), kernels.flatten(0, 1),
            padding=1, groups=samples,
        )
        return y.reshape(samples, -1, height, width)

    x = random(2, batch, size, size, channels)
    w = random(3, 3, 3, channels, channels, scale=(9 * channels) ** -0.5)
    s = 1 + random(4, batch, channels, scale=0.3)
    return Case(
        f"modulated convolution {channels}, {size} px, batch {batch}",
        (x, w, s), ("map", "kernel", ""), "map", both(modulated_conv2d), torch_form,
    )


def blur(batch: int, size: int, channels: int) -> Case:
    def torch_form(x):
        import torch
        from torch.nn import functional as F

        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        kernel = torch.outer(taps, taps).expand(channels, 1, 4, 4)
        return F.conv2d(F.pad(x, (2, 1, 2, 1)), kernel, groups=channels)

    x = random(2, batch, size, size, channels)
    return Case(
        f"blur [1,3,3,1] {channels}, {size} px, batch {batch}",
        (x,), ("map",), "map", both(separable_blur), torch_form,
    )


def normalised(batch: int, size: int, channels: int) -> Case:
    def torch_form(x, scale, bias):
        from torch.nn import functional as F

        return F.silu(F.group_norm(x, 32, scale, bias))

    def plain(x, scale, bias):
        layer = nn.GroupNorm(32, epsilon=1e-5)
        return nn.silu(layer.apply({"params": {"scale": scale, "bias": bias}}, x))

    x = 1 + random(2, batch, size, size, channels)
    return Case(
        f"GroupNorm 32 + SiLU {channels}, {size} px, batch {batch}",
        (x, 1 + random(3, channels), random(4, channels)), ("map", "", ""), "map",
        {"xla": plain, "auto": functools.partial(group_norm, silu=True)}, torch_form,
    )


def self_attention(batch: int, tokens: int, heads: int, depth: int) -> Case:
    def torch_form(q, k, v):
        from torch.nn import functional as F

        parts = (values.transpose(1, 2) for values in (q, k, v))
        return F.scaled_dot_product_attention(*parts).transpose(1, 2)

    arguments = tuple(random(seed, batch, tokens, heads, depth) for seed in (2, 3, 4))
    return Case(
        f"attention {tokens} tokens, {heads} x {depth}, batch {batch}",
        arguments, ("", "", ""), "",
        {"xla": jax.nn.dot_product_attention, "auto": attention}, torch_form,
    )


def unet_attention_block(batch: int, size: int, channels: int, heads: int = 8) -> Case:
    """GroupNorm, q, k, v by one product, attention over all pixels, a product, the input added."""

    def form(normalise: Callable, attend: Callable) -> Callable:
        def block(x, scale, bias, inner, outer):
            batch, height, width, channels = x.shape
            tokens = normalise(x, scale, bias).reshape(batch, height * width, channels)
            parts = jnp.split(tokens @ inner, 3, -1)
            shape = (batch, height * width, heads, channels // heads)
            attended = attend(*(part.reshape(shape) for part in parts))
            return x + (attended.reshape(tokens.shape) @ outer).reshape(x.shape)

        return block

    def torch_form(x, scale, bias, inner, outer):
        from torch.nn import functional as F

        samples, depth, height, width = x.shape
        tokens = F.group_norm(x, 32, scale, bias, 1e-6).permute(0, 2, 3, 1).flatten(1, 2)
        parts = (
            part.unflatten(2, (heads, -1)).transpose(1, 2)
            for part in F.linear(tokens, inner).chunk(3, 2)
        )
        attended = F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        attended = F.linear(attended, outer).unflatten(1, (height, width))
        return x + attended.permute(0, 3, 1, 2)

    def plain_norm(x, scale, bias):
        layer = nn.GroupNorm(32, epsilon=1e-6)
        return layer.apply({"params": {"scale": scale, "bias": bias}}, x)

    arguments = (
        random(2, batch, size, size, channels), 1 + random(3, channels), random(4, channels),
        random(5, channels, 3 * channels, scale=channels**-0.5),
        random(6, channels, channels, scale=channels**-0.5),
    )
    return Case(
        f"UNet attention block {channels}, {size} px, batch {batch}",
        arguments, ("map", "", "", "dense", "dense"), "map",
        {
            "xla": form(plain_norm, jax.nn.dot_product_attention),
            "auto": form(functools.partial(group_norm, epsilon=1e-6), attention),
        },
        torch_form,
    )


def swin_block(batch: int, size: int, channels: int, heads: int, window: int = 7) -> Case:
    """The block of `models.swin` with shifted windows; gradients in the map and all parameters."""
    shift = window // 2
    block = swin.Block(heads, window, shift)
    x = random(2, batch, size, size, channels)
    params = jax.jit(block.init, static_argnums=2)(jax.random.key(0), x, False)["params"]
    leaves, kinds, names, tree = _apart(params)

    def function(x, *leaves):
        return block.apply({"params": jax.tree.unflatten(tree, leaves)}, x, False)

    def torch_form(x, *tensors):
        from experiments.benchmarks import torch_twins

        return torch_twins.swin_block(
            x, dict(zip(names, tensors, strict=True)), heads, window, shift
        )

    return Case(
        f"Swin block {channels}, {size} px, batch {batch}",
        (x, *leaves), ("map", *kinds), "map", both(function), torch_form,
    )


def unet_block(batch: int, size: int, channels: int, heads: int = 8) -> Case:
    """A level of Stable Diffusion's UNet, once: a resnet that is told the time step, a transformer
    that attends to 77 tokens; gradients in all inputs and all parameters.
    """
    resnet, transformer = ResnetBlock(channels, 32, 1e-5), Transformer(heads)
    x = random(2, batch, size, size, channels)
    time, text = random(3, batch, 4 * channels), random(4, batch, 77, 768)
    keys = jax.random.split(jax.random.key(0))
    params = {
        "resnet": jax.jit(resnet.init)(keys[0], x, time)["params"],
        "transformer": jax.jit(transformer.init)(keys[1], x, text)["params"],
    }
    leaves, kinds, names, tree = _apart(params)

    def function(x, time, text, *leaves):
        params = jax.tree.unflatten(tree, leaves)
        y = resnet.apply({"params": params["resnet"]}, x, time)
        return transformer.apply({"params": params["transformer"]}, y, text)

    def torch_form(x, time, text, *tensors):
        from experiments.benchmarks import torch_twins

        return torch_twins.unet_block(
            x, time, text, dict(zip(names, tensors, strict=True)), heads
        )

    return Case(
        f"UNet block {channels}, {size} px, batch {batch}",
        (x, time, text, *leaves), ("map", "", "", *kinds), "map", both(function), torch_form,
    )


def _apart(params: dict) -> tuple[list[np.ndarray], list[str], list[str], Any]:
    """Returns (the parameters, moved off their start; their kinds; their names; the tree)."""
    pairs, tree = jax.tree_util.tree_flatten_with_path(params)
    names = [".".join(key.key for key in path) for path, _ in pairs]
    leaves = [
        np.asarray(leaf) + random(index, *leaf.shape, scale=0.02)
        for index, (_, leaf) in enumerate(pairs)
    ]
    of = {4: "kernel", 2: "dense"}
    kinds = [of[leaf.ndim] if name.endswith("kernel") else ""
             for name, leaf in zip(names, leaves, strict=True)]
    return leaves, kinds, names, tree


CASES = [
    *(
        functools.partial(convolution, *shape, **options)
        for shape, options in (
            ((4, 16, 256, 256), {"padding": 1}),
            ((2, 32, 256, 256), {"padding": 1}),
            ((1, 64, 256, 256), {"padding": 1}),
            ((4, 32, 256, 64), {"dilation": 8}),
            ((4, 64, 64, 64), {"padding": 1}),
            ((1, 128, 128, 64), {"padding": 1}),
            ((4, 64, 64, 3), {"padding": 1}),
            ((1, 262, 4, 64, 7), {}),
            ((4, 128, 64, 128, 4), {"strides": 2, "padding": 1}),
            ((4, 64, 128, 256, 3), {"strides": 2, "padding": 1}),
            ((4, 32, 256, 256, 1), {}),
            ((8, 16, 96, 24), {"padding": 2, "dilation": 2}),
        )
    ),
    functools.partial(transposed, 4, 64, 128, 64),
    functools.partial(upsampled, "nearest", 4, 32, 128, 64),
    functools.partial(upsampled, "bilinear", 4, 32, 128, 64),
    functools.partial(modulated, 4, 32, 256),
    functools.partial(blur, 4, 128, 64),
    functools.partial(normalised, 4, 64, 256),
    functools.partial(self_attention, 2, 1024, 8, 40),
    functools.partial(self_attention, 1, 4096, 8, 40),
    functools.partial(unet_attention_block, 2, 32, 320),
    functools.partial(unet_block, 1, 64, 320),
    functools.partial(unet_block, 2, 32, 640),
    functools.partial(swin_block, 4, 56, 96, 3),
]
