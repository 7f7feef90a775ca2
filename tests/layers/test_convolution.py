"""Convolution against an independent reference; the formulations against each other."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from jaxedit.layers import convolution
from jaxedit.layers.convolution import Conv, conv2d


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


@pytest.mark.parametrize("dilation", [1, 2])
def test_unpadded_formulation_and_its_gradients(dilation):
    x, kernel = jnp.asarray(random(2, 16, 14, 3)), jnp.asarray(random(3, 3, 3, 4))
    assert convolution._pays_on_cpu(x.shape, kernel.shape, dilation)
    weight = jnp.asarray(random(2, 16 - 2 * dilation, 14 - 2 * dilation, 4))

    def loss(formulation):
        return lambda x, kernel: jnp.sum(weight * jnp.tanh(formulation(x, kernel)))

    ours = loss(lambda x, kernel: conv2d(x, kernel, dilation=dilation))
    plain = loss(lambda x, kernel: convolution._plain_conv2d(x, kernel, 1, 0, dilation))
    padded = convolution._padded_and_cropped_conv2d(x, kernel, dilation)
    np.testing.assert_allclose(
        padded, convolution._plain_conv2d(x, kernel, 1, 0, dilation), atol=1e-5
    )
    for actual, expected in zip(
        jax.jit(jax.value_and_grad(ours, (0, 1)))(x, kernel)[1],
        jax.value_and_grad(plain, (0, 1))(x, kernel)[1],
        strict=True,
    ):
        np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_gradient_of_a_gradient():
    x, kernel = jnp.asarray(random(1, 8, 8, 2)), jnp.asarray(random(3, 3, 2, 2))

    def penalty(convolve):
        slope = lambda x, kernel: jax.grad(lambda x: jnp.sum(convolve(x, kernel) ** 3))(x)
        return jax.grad(lambda kernel: jnp.sum(slope(x, kernel) ** 2))(kernel)

    plain = lambda x, kernel: convolution._plain_conv2d(x, kernel, 1, 0, 1)
    np.testing.assert_allclose(penalty(conv2d), penalty(plain), rtol=1e-3)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_accelerators_get_the_plain_convolution(platform):
    x, kernel = jnp.zeros((1, 16, 16, 3)), jnp.zeros((3, 3, 3, 4))
    step = jax.jit(jax.value_and_grad(lambda kernel, x: conv2d(x, kernel).sum()))
    text = jax.export.export(step, platforms=[platform])(kernel, x).mlir_module()
    assert "stablehlo.convolution" in text
    assert "tensor<1x17x17x4xf32>" not in text  # what the padded form for CPU would compute
    on_cpu = jax.export.export(step, platforms=["cpu"])(kernel, x).mlir_module()
    assert "tensor<1x17x17x4xf32>" in on_cpu


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
