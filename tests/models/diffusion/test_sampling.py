"""DDIM with a network that knows the answer: it ends there, from anywhere, in one program."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.models.diffusion import sampling
from jaxedit.models.diffusion.schedule import Schedule

STEPS = 5
RNG = np.random.default_rng(0)
CLEAN, NOISE = RNG.standard_normal((2, 2, 4, 4, 3)).astype(np.float32)


def knowing(schedule, clean=CLEAN):
    """Returns the network that tells the noise in any latents of `clean` exactly."""

    def predict(latents, time):
        share = schedule.signal_at(time)[:, None, None, None]
        noise = (latents - jnp.sqrt(share) * clean) / jnp.sqrt(1 - share)
        return schedule.target(clean, noise, time)

    return predict


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_sampling_ends_at_what_the_network_knows(kind):
    schedule = Schedule(prediction_type=kind, set_alpha_to_one=True)
    run = jax.jit(lambda start, moves: sampling.sample(
        schedule, knowing(schedule), start, STEPS, moves=moves
    ))
    for moves in (STEPS, 2):
        start = sampling.noised_start(schedule, CLEAN, NOISE, STEPS, moves)
        end, made = run(start, moves)
        np.testing.assert_allclose(end, CLEAN, atol=1e-4)
        left_out = STEPS - moves
        assert not np.asarray(made.latents[:left_out]).any()
        # Every level on the way is the noised start's, of the same noise.
        levels = sampling.noised_levels(schedule, CLEAN, NOISE, STEPS)
        np.testing.assert_allclose(made.latents[left_out:], levels[left_out:], atol=1e-4)
        np.testing.assert_allclose(made.clean[left_out:], jnp.stack([CLEAN] * moves), atol=2e-3)
    unmoved, _ = run(CLEAN, 0)
    np.testing.assert_array_equal(unmoved, CLEAN)
    np.testing.assert_array_equal(
        sampling.noised_start(schedule, CLEAN, NOISE, STEPS, 0), CLEAN
    )


def test_inversion_of_a_network_that_sees_one_noise_comes_back():
    """Where the predicted noise depends on nothing, upwards and downwards are inverse."""
    schedule = Schedule()
    constant = lambda latents, time: jnp.broadcast_to(NOISE, latents.shape)
    for moves in (STEPS, 3):
        top, upwards = sampling.invert(schedule, constant, CLEAN, STEPS, moves=moves)
        np.testing.assert_array_equal(top, upwards.latents[moves - 1])
        bottom, downwards = sampling.sample(schedule, constant, top, STEPS, moves=moves)
        np.testing.assert_allclose(bottom, CLEAN, atol=1e-5)
        levels = sampling.inverted_levels(jnp.asarray(CLEAN), upwards)
        made = slice(STEPS - moves, STEPS)
        np.testing.assert_allclose(downwards.latents[made], levels[made], atol=1e-5)


def test_blending_keeps_what_is_outside_at_every_level():
    schedule = Schedule()
    other = knowing(schedule, CLEAN + 2)
    mask = jnp.asarray(RNG.random((2, 4, 4, 1)) > 0.5, jnp.float32)
    levels = sampling.noised_levels(schedule, CLEAN, NOISE, STEPS)
    start = sampling.noised_start(schedule, CLEAN, NOISE, STEPS)
    end, made = sampling.sample(
        schedule, other, start, STEPS, blend=sampling.Blend(mask, levels)
    )
    outside = np.broadcast_to(np.asarray(mask) == 0, CLEAN.shape)
    for step in range(STEPS):
        np.testing.assert_array_equal(made.latents[step][outside], levels[step][outside])
    np.testing.assert_array_equal(np.asarray(end)[outside], CLEAN[outside])
    assert (np.asarray(end)[~outside] - CLEAN[~outside]).min() > 1


def test_guidance_is_per_sample_and_runs_the_network_once():
    seen = []

    def network(latents, time, text):
        seen.append((latents.shape, time.shape, text.shape))
        return latents * text.mean((1, 2))[:, None, None, None]

    text, negative = jnp.full((2, 7, 6), 3.0), jnp.full((1, 7, 6), 1.0)
    predict = sampling.guided(network, text, negative, jnp.asarray([0.0, 2.0]))
    found = predict(jnp.asarray(CLEAN), jnp.zeros(2))
    np.testing.assert_allclose(found[0], CLEAN[0], rtol=1e-6)  # guidance 0: the negative prompt's
    np.testing.assert_allclose(found[1], 5 * CLEAN[1], rtol=1e-5)  # 1 + 2 (3 - 1)
    assert seen == [((4, 4, 4, 3), (4,), (4, 7, 6))]


def test_strength_guidance_and_mask_compile_once():
    schedule, count = Schedule(), 0

    @jax.jit
    def run(ratio, guidance, mask):
        nonlocal count
        count += 1
        network = lambda latents, time, text: latents * text[:, :1, :1, None] * 0.1
        moves = sampling.moves_of(ratio, STEPS)
        predict = sampling.guided(network, jnp.ones((2, 1, 1)), jnp.zeros((1, 1, 1)), guidance)
        start = sampling.noised_start(schedule, CLEAN, NOISE, STEPS, moves)
        levels = sampling.noised_levels(schedule, CLEAN, NOISE, STEPS)
        return sampling.sample(schedule, predict, start, STEPS, moves=moves,
                               blend=sampling.Blend(mask, levels))[0]

    mask = jnp.ones((2, 4, 4, 1))
    ends = [run(*map(jnp.float32, pair), mask) for pair in ((1, 7.5), (0.4, 7.5), (0.4, 1))]
    ends.append(run(jnp.float32(0.4), jnp.float32(1), 0 * mask))
    assert count == 1
    for one, other in zip(ends[:-1], ends[1:], strict=True):
        assert np.abs(one - other).max() > 1e-4
    np.testing.assert_array_equal(ends[-1], CLEAN)


def test_encoding_ratios():
    for ratio, steps, moves in ((0.7, 50, 35), (0.6, 10, 6), (0.3, 10, 3), (0, 10, 0), (1, 7, 7),
                                (0.29, 100, 29), (0.99, 10, 9), (1.5, 10, 10)):
        assert int(sampling.moves_of(ratio, steps)) == moves
        assert int(jax.jit(functools.partial(sampling.moves_of, steps=steps))(ratio)) == moves


def test_networks_in_half_precision_are_sampled_in_float32():
    half = lambda latents, time: (0.1 * latents).astype(jnp.bfloat16)
    start = jnp.asarray(NOISE, jnp.bfloat16)
    for walk in (sampling.sample, sampling.invert):
        end, made = walk(Schedule(), half, start, STEPS)
        assert end.dtype == made.clean.dtype == made.predictions.dtype == jnp.float32
        exact, _ = walk(Schedule(), lambda latents, time: 0.1 * latents, start, STEPS)
        np.testing.assert_allclose(end, exact, atol=0.02 * np.abs(exact).max())
