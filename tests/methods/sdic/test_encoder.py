"""e4e's training: codes are switched on one by one, judged beside real ones, and held together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import method as method_lib
from jaxedit.errors import UserError
from jaxedit.methods.sdic import encoder_method, latent_discriminator
from jaxedit.run import drawing
from tests import shrink


def test_phases_and_what_it_inverts():
    """Its training is a stage of the chain, see test_chain."""
    method = method_lib.create(shrink.sdic("paper_encoder", **{
        "train.steps": "3", "encoder.r1_every": "2",
    }))
    assert [method.phases(step) for step in (0, 1, 2)] == [("d_reg", "e"), ("d", "e"),
                                                           ("d_reg", "e")]
    outputs = method.tasks["invert"].outputs
    assert "discrepancy" not in outputs and {"codes", "residual", "image"} <= set(outputs)
    alone = method_lib.create(shrink.sdic("paper_encoder", **{"encoder.adversarial": "0.0"}))
    assert alone.phases(0) == ("e",) and set(alone.networks()) == {"encoder"}


def test_a_step_is_what_it_says():
    """Terms of the encoder's loss and the discriminator's, restated from the networks' outputs."""
    config = shrink.sdic("paper_encoder", **{
        "network.noise": "stored", "encoder.delta_start": "0", "encoder.delta_every": "4",
        "train.steps": "99", "encoder.delta_penalty": "0.5", "loss.perceptual": "0.0",
    })
    method = method_lib.create(config)
    state = drawing.drawn(lambda key: method.init(key, method.spec(2)), jax.random.key(3))
    state = state.replace(step=jnp.int32(9))  # 3 codes beside the first
    image = jnp.asarray(np.tanh(np.random.default_rng(0).standard_normal((2, 32, 32, 3))))
    inversion, batch, key = method.inversion, {"image": image}, jax.random.key(1)
    codes, _ = inversion.encoder.apply(
        {"params": state.params["encoder"], "batch_stats": state.stats["encoder"]}, image,
        train=True, mutable=["batch_stats"],
    )
    codes = np.array(codes)
    codes[:, 4:] = codes[:, :1]
    judge = method.networks()["latent_discriminator"]
    score = lambda codes: np.asarray(
        judge.apply({"params": state.params["latent_discriminator"]}, codes)
    )
    update = jax.jit(method.update, static_argnames="phase")
    after, sums = update(state, batch, key, phase="e")
    found = {name: float(value) for name, (value, _) in sums.items()}
    assert found["deltas"] == 3
    lengths = np.linalg.norm(codes[:, 1:3] - codes[:, :1], axis=-1).mean(0)
    assert found["loss/deltas"] == pytest.approx(0.5 * lengths.sum(), rel=1e-4)
    softplus = lambda x: np.logaddexp(0, x)
    assert found["loss/adversarial"] == pytest.approx(
        0.1 * softplus(-score(codes[:, :4])).mean(), rel=1e-4
    )
    picture, _ = inversion.generate(state.frozen, jnp.asarray(codes))
    square = np.square(inversion.pooled(picture) - image).mean()
    assert found["loss/l2"] == pytest.approx(square, rel=1e-4)
    assert found["loss/total"] == pytest.approx(
        found["loss/deltas"] + found["loss/adversarial"] + found["loss/l2"], rel=1e-5
    )
    moved = lambda name, new: max(
        float(np.abs(np.asarray(a) - np.asarray(b)).max())
        for a, b in zip(jax.tree.leaves(state.params[name]), jax.tree.leaves(new.params[name]),
                        strict=True)
    )
    assert moved("encoder", after) > 0 and moved("latent_discriminator", after) == 0
    # Heads of codes that are still off are not trained.
    heads = [jax.tree.leaves(one.params["encoder"]["styles_4"]) for one in (state, after)]
    assert all(np.array_equal(a, b) for a, b in zip(*heads, strict=True))

    # The pools are empty, so that this step's codes are shown: of each sample one that is on.
    after, sums = update(state, batch, key, phase="d_reg")
    real, fake = (np.asarray(after.extra[name]["codes"])[:2] for name in ("real_pool", "fake_pool"))
    gaps = np.abs(fake[:, None] - codes[:, :4]).max(-1)
    assert gaps.min(1).max() < 1e-4
    value = (softplus(-score(real)) + softplus(score(fake))).mean()
    assert float(sums["loss/discriminator"][0]) == pytest.approx(value, rel=1e-4)
    assert moved("encoder", after) == 0 and moved("latent_discriminator", after) > 0
    assert float(sums["loss/penalty"][0]) > 0


def test_codes_are_switched_on_one_by_one():
    method = method_lib.create(shrink.sdic("paper_encoder", **{
        "encoder.delta_start": "20", "encoder.delta_every": "5", "train.steps": "100",
    }))
    active = [int(method.active(jnp.int32(step))) for step in (0, 19, 20, 24, 25, 40, 99)]
    assert active == [0, 0, 1, 1, 2, 5, 5]  # six codes
    with pytest.raises(UserError, match="switched on at step 40"):
        method_lib.create(shrink.sdic("paper_encoder", **{
            "encoder.delta_start": "20", "encoder.delta_every": "5", "train.steps": "40",
        }))
    with pytest.raises(UserError, match="pools of its own"):
        method_lib.create(shrink.sdic("paper_encoder"), "batch")


def test_lengths_of_differences():
    codes = jnp.asarray([[[0.0, 0], [3, 4], [6, 8], [0, 0]], [[1.0, 1], [1, 1], [1, 2], [9, 9]]])
    assert [float(encoder_method.delta_norms(codes, n)) for n in (0, 1, 2, 3)] == [0, 0, 2.5, 8.0]
    slope = jax.grad(lambda codes: encoder_method.delta_norms(codes, 3))(codes)
    assert np.isfinite(slope).all() and np.abs(slope).max() > 0


def test_a_pool_shows_old_codes_in_half_of_the_cases():
    pool = latent_discriminator.empty_pool(4, 1)
    shown, pool = latent_discriminator.query(pool, jnp.arange(3.0)[:, None], jax.random.key(0))
    np.testing.assert_array_equal(shown[:, 0], [0, 1, 2])
    assert int(pool["count"]) == 3
    given = jnp.arange(3.0, 403)[:, None]
    shown, after = latent_discriminator.query(pool, given, jax.random.key(1))
    shown, given = np.asarray(shown)[:, 0], np.asarray(given)[:, 0]
    assert shown[0] == given[0] and int(after["count"]) == 4
    old = shown != given
    assert 0.4 < old.mean() < 0.6 and (shown[old] < given[old]).all()
    # What is shown and what is kept are what there was, and the fourth, which is both.
    held = [*shown, *np.asarray(after["codes"])[:, 0]]
    assert sorted(held) == sorted([0.0, 1, 2, 3, *given])
    same, nothing = latent_discriminator.query(
        latent_discriminator.empty_pool(0, 1), given[:, None], jax.random.key(0)
    )
    np.testing.assert_array_equal(same[:, 0], given)
    assert len(nothing["codes"]) == 0
