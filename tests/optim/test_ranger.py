"""Ranger against NumPy in double precision, over the step where it begins to rectify."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxedit.optim.ranger import ranger


def restated(p, gradients, lr, first, second, lookahead, decay, axis):
    """Yields the parameter after each step."""
    slow, m, v = p.copy(), 0.0, 0.0
    longest = 2 / (1 - second) - 1
    for t, g in enumerate(gradients, start=1):
        if g.ndim > 1:
            g = g - g.mean(tuple(a for a in range(g.ndim) if a != axis), keepdims=True)
        m, v = first * m + (1 - first) * g, second * v + (1 - second) * g * g
        n = longest - 2 * t * second**t / (1 - second**t)
        p = p - lr(t - 1) * decay * p
        if n > 5:
            r = np.sqrt((1 - second**t) * (n - 4) * (n - 2) * longest
                        / ((longest - 4) * n * (longest - 2)))
            p = p - lr(t - 1) * r / (1 - first**t) * m / (np.sqrt(v) + 1e-5)
        else:
            p = p - lr(t - 1) / (1 - first**t) * m
        if lookahead and t % lookahead == 0:
            slow = slow + 0.5 * (p - slow)
            p = slow
        yield p


@pytest.mark.parametrize("second, steps", [(0.999, 40), (0.9, 60)])
@pytest.mark.parametrize("lookahead, decay", [(6, 0.0), (0, 0.1)])
def test_steps(second, steps, lookahead, decay):
    rng = np.random.default_rng(0)
    shapes = {"kernel": (2, 3, 4), "bias": (4,)}
    start = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    gradients = [{n: rng.standard_normal(s) for n, s in shapes.items()} for _ in range(steps)]
    lr = lambda step: 1e-2 / (1 + step)
    optimizer = ranger(lr, betas=(0.95, second), weight_decay=decay, lookahead=lookahead)
    update = jax.jit(optimizer.update)
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), start)
    state = optimizer.init(params)
    expected = {
        name: restated(start[name], [g[name] for g in gradients], lr, 0.95, second, lookahead,
                       decay, 2)
        for name in shapes
    }
    for gradient in gradients:
        updates, state = update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        for name in shapes:
            np.testing.assert_allclose(params[name], next(expected[name]), atol=2e-6)


def test_parameters_are_needed():
    optimizer = ranger(1e-3)
    with pytest.raises(ValueError, match="needs the parameters"):
        optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))
