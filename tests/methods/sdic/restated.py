"""SDIC once more, in double precision and PyTorch's layout, by published names and plain operators.

Nothing of `jaxedit` is used: transposed convolutions dilate their input, modulated ones have a
kernel per sample.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests import plain


def conv(x, kernel, stride=1, bias=None, pad=None):
    rank = kernel.ndim - 2
    y = plain.convolution(x, kernel, stride, None if pad is None else [(pad, pad)] * rank)
    return y if bias is None else y + bias.reshape(-1, *[1] * rank)


def transposed(x, kernel, pad):
    """Stride 2; `kernel` is (I, O, ...)."""
    axes = tuple(range(2, kernel.ndim))
    width = kernel.shape[2] - 1 - pad
    none, between = (0, 0, 0), (0, 0, 1)
    x = lax.pad(x, jnp.zeros((), x.dtype), (none, none, *[between] * len(axes)))
    return conv(x, jnp.flip(kernel, axes).swapaxes(0, 1), pad=width)


def leaky(x, slope=0.01):
    # Padded, the discrepancy is exactly 0: there the gradient is that above it, as in JAX.
    return jnp.where(x >= 0, x, slope * x)


class Norms:
    """Batch normalisation by the batch, or by running statistics where `train` is False."""

    def __init__(self, p, train):
        self.p, self.train = p, train

    def __call__(self, name, x):
        axes = (0, *range(2, x.ndim))
        shape = (1, -1, *[1] * (x.ndim - 2))
        part = lambda key: self.p[f"{name}.{key}"].reshape(shape)
        mean, var = part("running_mean"), part("running_var")
        if self.train:
            mean = x.mean(axes, keepdims=True)
            var = jnp.square(x - mean).mean(axes, keepdims=True)
        return (x - mean) / jnp.sqrt(var + 1e-5) * part("weight") + part("bias")


def block(p, norm, name, x, features, stride, squeeze):
    y = conv(norm(f"{name}.res_layer.0", x), p[f"{name}.res_layer.1.weight"])
    y = leaky(y, p[f"{name}.res_layer.2.weight"].reshape(-1, 1, 1))
    y = norm(f"{name}.res_layer.4", conv(y, p[f"{name}.res_layer.3.weight"], stride))
    if squeeze:
        gate = y.mean((2, 3), keepdims=True)
        gate = jnp.maximum(conv(gate, p[f"{name}.res_layer.5.fc1.weight"]), 0)
        y = y * jax.nn.sigmoid(conv(gate, p[f"{name}.res_layer.5.fc2.weight"]))
    if x.shape[1] == features:
        return y + x[:, :, ::stride, ::stride]
    x = conv(x, p[f"{name}.shortcut_layer.0.weight"], stride)
    return y + norm(f"{name}.shortcut_layer.1", x)


def corners(x, size):
    """Bilinear, the corners kept."""
    for axis, new in ((2, size[0]), (3, size[1])):
        at = np.arange(new) * (x.shape[axis] - 1) / max(new - 1, 1)
        x = _blend(x, axis, at)
    return x


def centres(x, size):
    """Bilinear, half-pixel centres, no low-pass filter."""
    for axis, new in ((2, size), (3, size)):
        at = np.maximum((np.arange(new) + 0.5) * x.shape[axis] / new - 0.5, 0)
        x = _blend(x, axis, at)
    return x


def _blend(x, axis, at):
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    share = (at - low).reshape([-1 if a == axis else 1 for a in range(4)])
    return jnp.take(x, low, axis) * (1 - share) + jnp.take(x, high, axis) * share


def encode(p, image, codes):
    """With one block a group."""
    norm = Norms(p, False)
    x = norm("input_layer.1", conv(image, p["input_layer.0.weight"]))
    x = leaky(x, p["input_layer.2.weight"].reshape(-1, 1, 1))
    groups = []
    for index in range(4):
        features = p[f"body.{index}.res_layer.1.weight"].shape[0]
        x = block(p, norm, f"body.{index}", x, features, 2, True)
        groups.append(x)
    _, c1, c2, c3 = groups
    lateral = lambda name, x: conv(x, p[f"{name}.weight"], bias=p[f"{name}.bias"])
    p2 = corners(c3, c2.shape[2:]) + lateral("latlayer1", c2)
    p1 = corners(p2, c1.shape[2:]) + lateral("latlayer2", c1)
    rows = []
    for index in range(codes):
        x = c3 if index < 3 else p2 if index < 7 else p1
        step = 0
        while f"styles.{index}.convs.{step}.weight" in p:
            at = f"styles.{index}.convs.{step}"
            x = leaky(conv(x, p[f"{at}.weight"], 2, p[f"{at}.bias"]))
            step += 2
        at = f"styles.{index}.linear"
        weight = p[f"{at}.weight"]
        rows.append(x[:, :, 0, 0] @ weight.T / math.sqrt(weight.shape[1]) + p[f"{at}.bias"])
    return jnp.stack([rows[0]] + [rows[0] + row for row in rows[1:]], 1)


def _blur(x, gain, pads):
    taps = np.array([1.0, 3, 3, 1])
    kernel = jnp.asarray(np.outer(taps, taps) / 64 * gain)[None, None]
    batch, channels, *size = x.shape
    x = x.reshape(batch * channels, 1, *size)
    y = lax.conv_general_dilated(x, kernel, (1, 1), [pads] * 2)
    return y.reshape(batch, channels, *y.shape[2:])


def _modulated(p, name, x, code, up=False, demodulate=True):
    weight = p[f"{name}.conv.weight"]
    affine = p[f"{name}.conv.modulation.weight"]
    style = code @ affine.T / math.sqrt(code.shape[1]) + p[f"{name}.conv.modulation.bias"]

    def one(x, style):
        kernel = weight / math.sqrt(np.prod(weight.shape[1:])) * style[:, None, None]
        if demodulate:
            squares = jnp.square(kernel).sum((1, 2, 3), keepdims=True)
            kernel = kernel / jnp.sqrt(squares + 1e-8)
        return (transposed(x[None], kernel.swapaxes(0, 1), 0) if up else conv(x[None], kernel))[0]

    y = jax.vmap(one)(x, style)
    return _blur(y, 4, (1, 1)) if up else y


def generate(p, codes, tap, inject=None):
    def styled(name, x, index, up=False):
        y = _modulated(p, name, x, codes[:, index], up)
        y = y + p[f"{name}.noise.weight"] * p[f"noises.noise_{index}"]
        return leaky(y + p[f"{name}.activate.bias"].reshape(-1, 1, 1), 0.2) * math.sqrt(2)

    def rgb(name, x, index):
        y = _modulated(p, name, x, codes[:, index], demodulate=False)
        return y + p[f"{name}.bias"].reshape(-1, 1, 1)

    x = jnp.stack([p["input.input"].transpose(2, 0, 1)] * len(codes))
    x = styled("conv1", x, 0)
    picture = rgb("to_rgb1", x, 1)
    k, feature = 0, None
    while f"to_rgbs.{k}.bias" in p:
        x = styled(f"convs.{2 * k}", x, 2 * k + 1, up=True)
        if x.shape[2] == tap:
            feature = x
            x = x if inject is None else inject
        x = styled(f"convs.{2 * k + 1}", x, 2 * k + 2)
        spread = jnp.zeros((*picture.shape[:2], *(2 * n for n in picture.shape[2:])))
        spread = spread.at[:, :, ::2, ::2].set(picture)
        picture = rgb(f"to_rgbs.{k}", x, 2 * k + 3) + _blur(spread, 4, (2, 1))
        k += 1
    return picture, feature


def dipn(p, original, initial):
    norm = Norms(p, True)
    basic = lambda name, x, stride=1: leaky(
        norm(f"{name}.bn", conv(x, p[f"{name}.conv.weight"], stride))
    )
    up = lambda name, x: leaky(norm(f"{name}.bn", transposed(x, p[f"{name}.conv.weight"], 1)))

    def features(branch, x):
        one = basic(f"{branch}.fe1", x)
        half = basic(f"{branch}.fe3", basic(f"{branch}.fe2", one, 2))
        quarter = basic(f"{branch}.fe4", half, 2)
        x = basic(f"{branch}.fe5", quarter, 2)
        found = [x]
        for name, skip in (("deconv8_4", quarter), ("deconv4_2", half), ("deconv2_1", one)):
            x = jnp.concatenate([up(f"feature_up.{name}.conv1", x), skip], 1)
            x = basic(f"feature_up.{name}.conv2", x)
            found.append(x)
        return [basic("feature_up.conv4", x), *found[-2::-1]]

    left, right = features("feature1", original), features("feature2", initial)
    describe = lambda x: conv(basic("conv", x), p["desc.weight"], bias=p["desc.bias"])
    volume = jnp.concatenate([describe(left[0]), describe(right[0])], 1)[:, None]
    volume = basic("corr_stem", volume)
    h = "hourglass_fusion"

    def fuse(name, v, guide):
        at = f"{h}.{name}"
        guide = conv(basic(f"{at}.semantic.0", guide), p[f"{at}.semantic.1.weight"],
                     bias=p[f"{at}.semantic.1.bias"])[:, :, None]
        gate = conv(basic(f"{at}.att.0", guide + v), p[f"{at}.att.1.weight"])
        return basic(f"{at}.agg", jax.nn.sigmoid(gate) * guide + v)

    maps, x = [], volume
    for number in (1, 2, 3):
        x = basic(f"{h}.conv{number}.1", basic(f"{h}.conv{number}.0", x, 2))
        maps.append(x)
    x = fuse("CGF_32", x, left[3])
    for part, name, skip, cgf, guide in (("agg_0", "conv3_up", maps[1], "CGF_16", left[2]),
                                         ("agg_1", "conv2_up", maps[0], "CGF_8", left[1])):
        x = jnp.concatenate([up(f"{h}.{name}", x), skip], 1)
        for index in range(3):
            x = basic(f"{h}.{part}.{index}", x)
        x = fuse(cgf, x, guide)
    x = transposed(x, p[f"{h}.conv1_up.conv.weight"], 1)[:, 0]
    x = basic("rgb1.0", x)
    x = jnp.maximum(norm("rgb1.2", conv(x, p["rgb1.1.weight"])), 0)
    for index in range(3):
        x = block(p, norm, f"rgb.{index}", x, 3, 1, False)
    return x


def dicn(p, discrepancy, feature, codes, side):
    norm = Norms(p, True)
    basic = lambda name, x, stride=1: leaky(
        norm(f"{name}.bn", conv(x, p[f"{name}.conv.weight"], stride))
    )
    x = norm("conv_layer1.1", conv(discrepancy, p["conv_layer1.0.weight"]))
    x = leaky(x, p["conv_layer1.2.weight"].reshape(-1, 1, 1))
    x = conv(basic("semantic.0", x, 2), p["semantic.1.weight"])
    details = conv(basic("semantic.2", x, 2), p["semantic.3.weight"])
    gate = conv(basic("att.0", details + feature), p["att.1.weight"])
    new_feature = jax.nn.sigmoid(gate) * details + feature
    x = discrepancy
    for index in (0, 2):
        weight = p[f"condition_shift3.{index}.weight"]
        x = conv(x, weight / math.sqrt(np.prod(weight.shape[1:])),
                 bias=p[f"condition_shift3.{index}.bias"])
        x = x if index else leaky(x, 0.2) * math.sqrt(2)
    x = centres(x, side).reshape(len(x), -1, codes.shape[2])
    a = "aff1d"

    def step(name, x, bias=True):
        return conv(x, p[f"{a}.{name}.weight"], bias=p[f"{a}.{name}.bias"] if bias else None)

    x = step("sen.3", leaky(norm(f"{a}.sen.1", step("sen.0", x))))
    scale, shift = (
        step(f"{n}.3", leaky(norm(f"{a}.{n}.1", step(f"{n}.0", x))), False) for n in ("att", "att2")
    )
    return new_feature, codes + scale * codes + shift


def discriminate(p, image):
    """StyleGAN2's discriminator; groups of the minibatch as its code forms them."""
    fused = lambda x, name: leaky(x + p[name].reshape(-1, 1, 1), 0.2) * math.sqrt(2)
    scaled = lambda name: p[name] / math.sqrt(np.prod(p[name].shape[1:]))
    x = fused(conv(image, scaled("convs.0.0.weight")), "convs.0.1.bias")
    index = 1
    while f"convs.{index}.conv1.0.weight" in p:
        at = f"convs.{index}"
        y = fused(conv(x, scaled(f"{at}.conv1.0.weight")), f"{at}.conv1.1.bias")
        y = conv(_blur(y, 1, (2, 2)), scaled(f"{at}.conv2.1.weight"), 2, pad=0)
        y = fused(y, f"{at}.conv2.2.bias")
        x = conv(_blur(x, 1, (1, 1)), scaled(f"{at}.skip.1.weight"), 2, pad=0)
        x = (x + y) / math.sqrt(2)
        index += 1
    count = len(x)
    group = min(4, count)
    parts = x.reshape(group, count // group, *x.shape[1:])
    spread = jnp.sqrt(jnp.square(parts - parts.mean(0)).mean(0) + 1e-8).mean((1, 2, 3))
    rows = jnp.tile(spread, group)[:, None, None, None]
    x = jnp.concatenate([x, jnp.broadcast_to(rows, (count, 1, *x.shape[2:]))], 1)
    x = fused(conv(x, scaled("final_conv.0.weight")), "final_conv.1.bias").reshape(count, -1)
    x = x @ scaled("final_linear.0.weight").T + p["final_linear.0.bias"]
    x = leaky(x, 0.2) * math.sqrt(2)
    return x @ scaled("final_linear.1.weight").T + p["final_linear.1.bias"]


def mapped(p, z):
    """StyleGAN2's mapping network."""
    x = z / jnp.sqrt(jnp.square(z).mean(1, keepdims=True) + 1e-8)
    index = 1
    while f"style.{index}.weight" in p:
        weight = p[f"style.{index}.weight"]
        x = x @ weight.T * 0.01 / math.sqrt(weight.shape[1]) + p[f"style.{index}.bias"] * 0.01
        x = leaky(x, 0.2) * math.sqrt(2)
        index += 1
    return x
