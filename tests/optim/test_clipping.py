"""Clipping at a running norm, against a loop written in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxedit.optim import clipping


def _expected(norms, decay, factor=2.0, first=1e6):
    """Yields (norm after clipping, limit, running mean) of every step."""
    running = 0.0
    for norm in norms:
        limit = first if running == 0 else factor * running
        yield norm * min(1.0, limit / (norm + 1e-6)), limit, (
            norm if running == 0 else decay * running + (1 - decay) * norm
        )
        running = norm if running == 0 else decay * running + (1 - decay) * norm


def _gradient(norm):
    """A tree of two leaves with this norm."""
    return {"a": jnp.array([0.6 * norm, 0.0]), "b": {"c": jnp.full((1, 1), -0.8 * norm)}}


@pytest.mark.parametrize(
    "norms", [[3.0, 2.0, 10.0, 100.0, 0.0, 5.0], [5e6, 1.0, 4e7], [0.0, 4.0, 12.0]]
)
@pytest.mark.parametrize("decay", [0.999, 0.5])
def test_follows_the_published_loop(norms, decay):
    clip = clipping.clip_by_running_norm(decay)
    state = clip.init(_gradient(0.0))
    update = jax.jit(clip.update)
    for norm, (after, limit, running) in zip(norms, _expected(norms, decay), strict=True):
        updates, state = update(_gradient(norm), state)
        assert float(optax.tree.norm(updates)) == pytest.approx(after, rel=1e-5)
        np.testing.assert_allclose(updates["a"], [0.6 * after, 0.0], rtol=1e-5)
        assert float(clipping.limit(state)) == pytest.approx(limit, rel=1e-5)
        assert float(state.running) == pytest.approx(running, rel=1e-5)


def test_a_norm_that_is_not_finite_does_not_enter():
    clip = clipping.clip_by_running_norm()
    _, state = clip.update(_gradient(2.0), clip.init(None))
    for bad in (np.nan, np.inf):
        updates, state = clip.update(_gradient(bad), state)
        assert not np.isfinite(updates["b"]["c"]).any()
        assert float(state.running) == 2.0
    updates, _ = clip.update(_gradient(40.0), state)
    assert float(optax.tree.norm(updates)) == pytest.approx(4.0, rel=1e-5)


def test_limit_is_found_inside_of_a_chain():
    params = {"w": jnp.ones(3)}
    chain = optax.chain(clipping.clip_by_running_norm(), optax.adam(1e-3))
    state = chain.init(params)
    assert float(clipping.limit(state)) == 0
    _, state = chain.update({"w": jnp.full(3, 2.0)}, state, params)
    assert float(clipping.limit(state)) == 1e6
    _, state = chain.update({"w": jnp.full(3, 2.0)}, state, params)
    assert float(clipping.limit(state)) == pytest.approx(2 * np.sqrt(12), rel=1e-6)
    assert clipping.limit(optax.adam(1e-3).init(params)) is None


def test_same_on_every_device_under_pmap():
    count = min(2, jax.local_device_count())
    clip = clipping.clip_by_running_norm()
    repeat = lambda tree: jax.tree.map(lambda x: jnp.stack([x] * count), tree)

    def step(gradient, state):
        return clip.update(jax.lax.pmean(gradient, "batch"), state)

    run = jax.pmap(step, axis_name="batch", devices=jax.local_devices()[:count])
    state = repeat(clip.init(None))
    gradients = jax.tree.map(
        lambda x: jnp.stack([x * (1 + index) for index in range(count)]), _gradient(1.0)
    )
    mean = 1 + (count - 1) / 2
    _, state = run(gradients, state)
    np.testing.assert_allclose(state.running, [mean] * count, rtol=1e-6)
    updates, state = run(jax.tree.map(lambda x: 10 * x, gradients), state)
    np.testing.assert_allclose(updates["a"][:, 0], [0.6 * 2 * mean] * count, rtol=1e-5)
