"""Convolution against an independent reference, in both modes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from jaxedit.layers.convolution import Conv, conv2d, formulation
from jaxedit.layers.convolution.trilinear import Geometry
from tests.layers.convolution import tap_by_tap


def reference(x, kernel, strides=1, padding=0, dilation=1):
    """Sums 2-D correlations channel by channel, with the dilated kernel written out."""
    height, width = kernel.shape[:2]
    wide = np.zeros(
        (dilation * (height - 1) + 1, dilation * (width - 1) + 1, *kernel.shape[2:])
    )
    wide[::dilation, ::dilation] = kernel
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    outputs = []
    for image in x:
        maps = [
            sum(
                signal.correlate2d(image[..., i], wide[..., i, o], mode="valid")
                for i in range(kernel.shape[2])
            )
            for o in range(kernel.shape[3])
        ]
        outputs.append(np.stack(maps, -1)[::strides, ::strides])
    return np.stack(outputs)


def random(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "kernel_size", "options"),
    [
        ((9, 12), 3, {}),
        ((9, 12), 3, {"padding": 1}),
        ((12, 10), 4, {"strides": 2, "padding": 1}),
        ((14, 12), 3, {"dilation": 2}),
        ((9, 9), 3, {"dilation": 4}),
        ((9, 12), 7, {}),
        ((5, 6), 1, {}),
        ((7, 8), 4, {"padding": 1}),
    ],
)
def test_conv2d(size, kernel_size, options):
    x, kernel = random(2, *size, 3), random(kernel_size, kernel_size, 3, 5)
    bias = random(5)
    y = conv2d(jnp.asarray(x), jnp.asarray(kernel), jnp.asarray(bias), **options)
    np.testing.assert_allclose(y, reference(x, kernel, **options) + bias, atol=1e-4)


@pytest.mark.parametrize("mode", ["auto", "xla"])
@pytest.mark.parametrize(("size", "strides", "padding"), [(1, 1, 0), (3, 1, 1), (4, 2, 1)])
def test_both_modes_compute_the_same(mode, size, strides, padding):
    geometry = Geometry((1, 16, 14, 64), (size, size, 64, 48), strides, padding)
    x, kernel, g = tap_by_tap.draw(geometry)
    expected = tap_by_tap.functions(geometry, x, kernel, g)
    with formulation.using(mode):
        convolve = lambda x, kernel: conv2d(x, kernel, strides=strides, padding=padding)
        y, gradient = jax.vjp(jax.jit(convolve), x, kernel)
        found = dict(zip(expected, (y, *gradient(g)), strict=True))
    for name, values in found.items():
        assert tap_by_tap.relative_error(values, expected[name]) < 1e-5, name


def test_layer_computes_in_its_dtype_and_keeps_float32_parameters():
    layer = Conv(4, dtype=jnp.bfloat16)
    x = jnp.asarray(random(1, 8, 8, 3))
    variables = layer.init(jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert layer.apply(variables, x).dtype == jnp.bfloat16
    assert variables["params"]["kernel"].shape == (3, 3, 3, 4)


def test_layer_reflects_at_the_rim():
    x = random(1, 6, 7, 2)
    layer = Conv(3, padding=2, padding_mode="reflect", dilation=2)
    variables = layer.init(jax.random.key(0), jnp.asarray(x))
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect")
    expected = reference(padded, np.asarray(variables["params"]["kernel"]), dilation=2)
    np.testing.assert_allclose(layer.apply(variables, x), expected, atol=1e-5)


def test_unknown_padding_mode():
    with pytest.raises(ValueError, match="padding_mode is 'circular'"):
        Conv(3, padding_mode="circular").init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)))
