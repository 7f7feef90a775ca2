"""iEdit's fine-tuning step once more, in PyTorch's layout, by published names, plain operators.

Nothing of `jaxedit` is used. Networks have two levels with one resnet each; the finest attends to
the text.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from tests import plain


class Parameters(dict):
    """Published name -> array."""

    def conv(self, name, x, stride=1, pad=None):
        kernel = self[f"{name}.weight"]
        pad = kernel.shape[2] // 2 if pad is None else pad
        y = plain.convolution(x, kernel, stride, [(pad, pad)] * 2)
        return y + self[f"{name}.bias"][:, None, None]

    def linear(self, name, x):
        y = x @ self[f"{name}.weight"].T
        return y + self[f"{name}.bias"] if f"{name}.bias" in self else y

    def group_norm(self, name, x, groups, epsilon):
        y = x.reshape(len(x), groups, -1)
        y = (y - y.mean(-1, keepdims=True)) / jnp.sqrt(y.var(-1, keepdims=True) + epsilon)
        shape = (-1, 1, 1)
        return y.reshape(x.shape) * self[f"{name}.weight"].reshape(shape) + self[
            f"{name}.bias"].reshape(shape)

    def layer_norm(self, name, x):
        y = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return y * self[f"{name}.weight"] + self[f"{name}.bias"]

    def resnet(self, name, x, groups, epsilon, time=None):
        y = self.conv(f"{name}.conv1", silu(self.group_norm(f"{name}.norm1", x, groups, epsilon)))
        if time is not None:
            y = y + self.linear(f"{name}.time_emb_proj", silu(time))[:, :, None, None]
        y = self.conv(f"{name}.conv2", silu(self.group_norm(f"{name}.norm2", y, groups, epsilon)))
        short = f"{name}.conv_shortcut"
        return y + (self.conv(short, x) if f"{short}.weight" in self else x)

    def attention(self, name, x, context, heads):
        split = lambda y: y.reshape(*y.shape[:2], heads, -1).swapaxes(1, 2)
        q, k, v = (split(self.linear(f"{name}.to_{n}", c))
                   for n, c in (("q", x), ("k", context), ("v", context)))
        weights = jax.nn.softmax(q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1]))
        return self.linear(f"{name}.to_out.0", (weights @ v).swapaxes(1, 2).reshape(x.shape))

    def transformer(self, name, x, text, groups, heads):
        y = self.conv(f"{name}.proj_in", self.group_norm(f"{name}.norm", x, groups, 1e-6))
        y = tokens(y)
        block = f"{name}.transformer_blocks.0"
        z = self.layer_norm(f"{block}.norm1", y)
        y = y + self.attention(f"{block}.attn1", z, z, heads)
        y = y + self.attention(f"{block}.attn2", self.layer_norm(f"{block}.norm2", y), text, heads)
        value, gate = jnp.split(
            self.linear(f"{block}.ff.net.0.proj", self.layer_norm(f"{block}.norm3", y)), 2, -1
        )
        gated = value * gate * (1 + lax.erf(gate / math.sqrt(2))) / 2
        y = y + self.linear(f"{block}.ff.net.2", gated)
        return x + self.conv(f"{name}.proj_out", y.swapaxes(1, 2).reshape(x.shape))


def silu(x):
    return x / (1 + jnp.exp(-x))


def tokens(x):
    return x.reshape(*x.shape[:2], -1).swapaxes(1, 2)


def double(x):
    return x.repeat(2, 2).repeat(2, 3)


def unet(p, x, time, text, groups, heads):
    """(B, 4, h, w), (B,), (B, M, D) -> (B, 4, h, w)."""
    width = p["conv_in.weight"].shape[0]
    angles = time[:, None] * jnp.exp(-math.log(10000) * jnp.arange(width // 2) / (width // 2))
    wave = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], -1)
    time = p.linear("time_embedding.linear_2", silu(p.linear("time_embedding.linear_1", wave)))
    resnet = lambda name, x: p.resnet(name, x, groups, 1e-5, time)
    attend = lambda name, x: p.transformer(name, x, text, groups, heads)
    x = p.conv("conv_in", x)
    skips = [x]
    x = attend("down_blocks.0.attentions.0", resnet("down_blocks.0.resnets.0", x))
    skips.append(x)
    x = p.conv("down_blocks.0.downsamplers.0.conv", x, 2, 1)
    skips.append(x)
    x = resnet("down_blocks.1.resnets.0", x)
    skips.append(x)
    x = resnet("mid_block.resnets.0", x)
    x = resnet("mid_block.resnets.1", attend("mid_block.attentions.0", x))
    for level in (0, 1):
        for index in (0, 1):
            name = f"up_blocks.{level}.resnets.{index}"
            x = resnet(name, jnp.concatenate([x, skips.pop()], 1))
            if level == 1:
                x = attend(f"up_blocks.1.attentions.{index}", x)
        if level == 0:
            x = p.conv("up_blocks.0.upsamplers.0.conv", double(x))
    return p.conv("conv_out", silu(p.group_norm("conv_norm_out", x, groups, 1e-5)))


def decode(p, z, groups):
    """Latents (B, 4, h, w) -> pictures (B, 3, 2h, 2w)."""
    resnet = lambda name, x: p.resnet(f"decoder.{name}", x, groups, 1e-6)
    x = p.conv("decoder.conv_in", p.conv("post_quant_conv", z))
    x = resnet("mid_block.resnets.0", x)
    name = "decoder.mid_block.attentions.0"
    y = tokens(p.group_norm(f"{name}.group_norm", x, groups, 1e-6))
    x = x + p.attention(name, y, y, 1).swapaxes(1, 2).reshape(x.shape)
    x = resnet("mid_block.resnets.1", x)
    for level in (0, 1):
        for index in (0, 1):
            x = resnet(f"up_blocks.{level}.resnets.{index}", x)
        if level == 0:
            x = p.conv("decoder.up_blocks.0.upsamplers.0.conv", double(x))
    x = silu(p.group_norm("decoder.conv_norm_out", x, groups, 1e-6))
    return p.conv("decoder.conv_out", x)


def vgg(p, x):
    """VGG-16's relu1_2, 2_2, 3_3, 4_3 and 5_3, by torchvision's numbers."""
    found, number = [], 0
    for count in (2, 2, 3, 3, 3):
        for _ in range(count):
            x = jnp.maximum(p.conv(f"features.{number}", x), 0)
            number += 2
        found.append(x)
        number += 1
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    return found


def shrunk(count, fewer):
    """The matrix that takes `count` pixels to `fewer`, by triangles two of the latter wide."""
    step = count / fewer
    centres = (jnp.arange(fewer) + 0.5) * step - 0.5
    weights = jnp.maximum(0, 1 - jnp.abs(jnp.arange(count) - centres[:, None]) / step)
    return weights / weights.sum(1, keepdims=True)


def unit(x):
    return x / jnp.sqrt(jnp.square(x).sum(1, keepdims=True) + 1e-8)


def loss(p, frozen, at, groups, heads):
    """The whole loss of a step that looks at pictures.

    Args:
      p: of the UNet.
      frozen: of the autoencoder and of the features, `Parameters` both.
      at: what was drawn and read: `source`, `target`, `noise` (B, 4, h, w), `time`, `abar`, `text`,
        `dropped`, `cells` (B, 1, h, w), `mask`, `image`, `wanted` (B, ., H, W), and `scale`.
    """
    wide = lambda x: x[:, None, None, None]
    abar = wide(at["abar"])
    noised = jnp.sqrt(abar) * at["source"] + jnp.sqrt(1 - abar) * at["noise"]
    e = unet(p, noised, at["time"], at["text"], groups, heads)
    to_target = (noised - jnp.sqrt(abar) * at["target"]) / jnp.sqrt(1 - abar)
    wanted = jnp.where(wide(at["dropped"]), at["noise"], to_target)
    g = jnp.minimum(1, (1 - abar) / abar)
    pair = (g * jnp.square(e - wanted)).mean()
    cells, c = at["cells"], e.shape[1]
    inside = (cells * g * jnp.square(e - wanted)).sum() / (c * cells.sum())
    outside = ((1 - cells) * jnp.square(e - at["noise"])).sum() / (c * (1 - cells).sum())
    clean = (noised - jnp.sqrt(1 - abar) * e) / jnp.sqrt(abar)
    made = vgg(frozen[1], decode(frozen[0], clean / at["scale"], groups))
    far = 0.0
    for ours, before, after in zip(made, vgg(frozen[1], at["image"]), vgg(frozen[1], at["wanted"]),
                                   strict=True):
        rows, columns = (shrunk(at["mask"].shape[i], ours.shape[i]) for i in (2, 3))
        share = jnp.einsum("pi,bcij,qj->bcpq", rows, at["mask"], columns)
        for weight, other in ((share, after), (1 - share, before)):
            distance = jnp.square(unit(ours) - unit(other)).sum(1, keepdims=True)
            far += (weight * distance).sum((1, 2, 3)) / jnp.maximum(weight.sum((1, 2, 3)), 1)
    used = (at["time"] < 400) & ~at["dropped"]
    perceptual = (far * used).sum() / jnp.maximum(used.sum(), 1)
    return 0.1 * pair + inside + outside + 0.3 * perceptual
