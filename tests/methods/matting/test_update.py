"""The training step: statistics move as they should, and each sees its own schedule."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit import method as method_lib
from jaxedit.methods.matting import update
from tests import fake_run, shrink


def test_forward_pass_moves_statistics_once():
    """One power iteration and one step of the running averages per pass, parameters untouched."""
    from jaxedit.layers import spectral

    config = shrink.matting("finetune")
    network = method_lib.create(config).networks()["network"]
    params, stats = fake_run.drawn(
        jax.eval_shape(lambda: update.initial_variables(network, jax.random.key(0)))
    )
    rng = np.random.default_rng(0)
    batch = {
        "image": jnp.asarray(rng.uniform(-1, 1, (2, 64, 64, 3)), jnp.float32),
        "trimap": jnp.asarray(rng.integers(0, 3, (2, 64, 64, 1)), jnp.float32),
    }
    shapes, after = jax.eval_shape(
        lambda: update.forward(network, params, stats, batch, jax.random.key(1))
    )
    assert {k: v.shape for k, v in shapes.items()} == dict.fromkeys(
        ("os1", "os4", "os8"), (2, 64, 64, 1)
    )
    assert jax.tree.structure(after) == jax.tree.structure(dict(stats))
    iterate = jax.jit(spectral.iterate)
    once = iterate(params, stats["spectral"])
    twice = iterate(params, once)
    moved = [
        float(jnp.abs(a - b).max())
        for a, b in zip(jax.tree.leaves(once), jax.tree.leaves(twice), strict=True)
    ]
    assert max(moved) > 1e-4  # a fresh vector is far from the singular one: iterating matters


def test_targets_are_the_published_ones():
    batch = {
        "image": jnp.full((1, 2, 2, 3), -1.0), "foreground": jnp.full((1, 2, 2, 3), 1.0),
        "background": jnp.zeros((1, 2, 2, 3)), "alpha": jnp.full((1, 2, 2, 1), 0.5),
        "trimap": jnp.asarray([0.0, 1.0, 2.0, 1.0]).reshape(1, 2, 2, 1),
    }
    targets = update._targets(batch)
    np.testing.assert_array_equal(targets["unknown"].ravel(), [0, 1, 0, 1])
    # (0 - 0.485) / 0.229, (1 - 0.485) / 0.229, (0.5 - 0.485) / 0.229
    for key, value in (("image", -0.485), ("foreground", 0.515), ("background", 0.015)):
        np.testing.assert_allclose(targets[key][0, 0, 0, 0], value / 0.229, rtol=1e-5)
