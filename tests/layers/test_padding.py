"""Reflect padding against NumPy's, its gradient against jnp.pad's."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.layers.padding import reflect_pad

X = np.random.default_rng(0).standard_normal((2, 9, 11, 3)).astype(np.float32)


@pytest.mark.parametrize("size", [0, 1, 3, 8])
def test_values_and_gradient(size):
    widths = ((0, 0), (size, size), (size, size), (0, 0))
    np.testing.assert_array_equal(
        jax.jit(reflect_pad, static_argnums=1)(X, size), np.pad(X, widths, "reflect")
    )
    cotangent = np.random.default_rng(1).standard_normal(
        (2, 9 + 2 * size, 11 + 2 * size, 3)
    ).astype(np.float32)
    _, ours = jax.vjp(lambda x: reflect_pad(x, size), X)
    _, reference = jax.vjp(lambda x: jnp.pad(x, widths, "reflect"), X)
    np.testing.assert_allclose(ours(cotangent)[0], reference(cotangent)[0], atol=1e-5)


def test_too_small_a_map():
    with pytest.raises(ValueError, match="more than 9 rows and columns, and the map is 9 x 11"):
        reflect_pad(X, 9)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_lowers_without_a_gather_for_accelerators(platform):
    step = jax.jit(jax.value_and_grad(lambda x: reflect_pad(x, 2).sum()))
    text = jax.export.export(step, platforms=[platform])(X).mlir_module()
    assert "stablehlo.gather" not in text
