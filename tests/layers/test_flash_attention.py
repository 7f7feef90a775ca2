"""Attention by chunks against the definition, forward, backward and twice backward."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.layers import flash_attention
from jaxedit.layers.flash_attention import attention


def definition(q, k, v, scale):
    logits = scale * jnp.einsum("bnhd,bmhd->bhnm", q, k)
    return jnp.einsum("bhnm,bmhe->bnhe", jax.nn.softmax(logits), v)


def quickly(function, *arguments):
    """Compiled as one program, without optimising the machine code."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})(*arguments)


def draw(queries, keys, depth=5, values=3):
    rng = np.random.default_rng(0)
    shapes = ((2, queries, 2, depth), (2, keys, 2, depth), (2, keys, 2, values))
    return tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)


@pytest.mark.parametrize("chunk", [256, 4])
@pytest.mark.parametrize(("queries", "keys"), [(8, 8), (9, 5), (1, 7), (11, 11)])
def test_values_and_gradients(monkeypatch, chunk, queries, keys):
    monkeypatch.setattr(flash_attention, "_CHUNK", chunk)
    arguments = draw(queries, keys)
    weight = np.random.default_rng(1).standard_normal((2, queries, 2, 3)).astype(np.float32)

    def loss(function):
        return jax.value_and_grad(lambda *a: (weight * function(*a)).sum(), (0, 1, 2))

    found = quickly(loss(lambda q, k, v: attention(q, k, v)), *arguments)
    expected = quickly(loss(lambda q, k, v: definition(q, k, v, 5**-0.5)), *arguments)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_large_logits():
    q, k, v = draw(9, 9)
    o = attention(100 * q, 100 * k, v)
    np.testing.assert_allclose(o, definition(100 * q, 100 * k, v, 5**-0.5), atol=1e-4)


def test_gradient_of_a_gradient(monkeypatch):
    monkeypatch.setattr(flash_attention, "_CHUNK", 4)
    q, k, v = draw(9, 6)

    def penalty(function):
        slope = jax.grad(lambda q, k: (function(q, k, v) ** 3).sum())
        return quickly(jax.grad(lambda q, k: (slope(q, k) ** 2).sum(), (0, 1)), q, k)

    ours = penalty(lambda q, k, v: attention(q, k, v, scale=0.3))
    theirs = penalty(lambda q, k, v: definition(q, k, v, 0.3))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_accelerators_get_no_loop(platform):
    step = jax.jit(jax.grad(lambda q, k, v: attention(q, k, v).sum(), (0, 1, 2)))
    arguments = draw(600, 600)
    program = lambda platform: jax.export.export(step, platforms=[platform])(*arguments)
    assert "stablehlo.while" not in program(platform).mlir_module()
    assert "stablehlo.while" in program("cpu").mlir_module()


def test_dtype_is_kept():
    q, k, v = (jnp.asarray(values, jnp.bfloat16) for values in draw(6, 6))
    assert attention(q, k, v).dtype == jnp.bfloat16
    gradients = jax.grad(lambda *a: attention(*a).astype(jnp.float32).sum(), (0, 1, 2))(q, k, v)
    assert {g.dtype for g in gradients} == {jnp.dtype(jnp.bfloat16)}
