"""The separable blur against SciPy's two-dimensional correlation."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from jaxedit.layers.separable_blur import separable_blur


def reference(x, taps, padding, gain):
    taps = np.asarray(taps, np.float64) / sum(taps)
    kernel = np.outer(taps, taps) * gain
    height, width = x.shape[1:3]
    wide = np.pad(x, ((0, 0), (9, 9), (9, 9), (0, 0)))
    start, stop = 9 - padding[0], (9 + padding[1])
    wide = wide[:, start : stop + height, start : stop + width]
    blurred = lambda m: np.stack([signal.correlate2d(c, kernel, "valid") for c in m.T], -1)
    return np.stack([blurred(m.swapaxes(0, 1)) for m in wide])


@settings(max_examples=8, derandomize=True, deadline=None)
@given(
    st.sampled_from([(1.0, 3.0, 3.0, 1.0), (1.0, 2.0, 3.0), (1.0,)]),
    st.tuples(st.integers(-1, 4), st.integers(-1, 4)),
    st.tuples(st.integers(6, 9), st.integers(6, 9)),
)
def test_definition_and_adjoint(taps, padding, size):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *size, 3)).astype(np.float32)
    blur = lambda x: separable_blur(x, taps, padding=padding, gain=4.0)
    y, gradient = jax.vjp(jax.jit(blur), x)
    np.testing.assert_allclose(y, reference(x, taps, padding, 4.0), atol=1e-5)
    g = rng.standard_normal(y.shape).astype(np.float32)
    # <blur(x), g> = <x, adjoint(g)>
    np.testing.assert_allclose(np.vdot(y, g), np.vdot(x, gradient(g)[0]), rtol=1e-3, atol=1e-3)


def test_gradient_of_a_gradient():
    x = np.random.default_rng(0).standard_normal((1, 6, 5, 2)).astype(np.float32)
    slope = jax.grad(lambda x: (separable_blur(x) ** 3).sum())
    found = jax.jit(jax.grad(lambda x: (slope(x) ** 2).sum()))(x)
    step = 1e-2 * np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    along = lambda t: float((slope(x + t * step) ** 2).sum())
    np.testing.assert_allclose(np.vdot(found, step), (along(1) - along(-1)) / 2, rtol=1e-2)


def test_a_constant_keeps_its_value():
    y = separable_blur(np.full((1, 8, 8, 1), 5.0, np.float32))
    assert y.shape == (1, 8, 8, 1)
    np.testing.assert_allclose(y[:, 2:-2, 2:-2], 5.0, rtol=1e-6)


def test_dtype_is_kept():
    x = jax.numpy.ones((1, 6, 6, 1), jax.numpy.bfloat16)
    assert separable_blur(x).dtype == x.dtype
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(separable_blur, (x,), (x,))
