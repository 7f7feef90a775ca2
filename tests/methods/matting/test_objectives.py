"""Regions and losses, against plain NumPy and SciPy."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxedit.errors import UserError
from jaxedit.methods.matting import objectives, refinement
from jaxedit.run import sharding

HEADS = ("os1", "os4", "os8")


def _random(seed, *shape):
    return np.random.default_rng(seed).random(shape, np.float32)


@pytest.fixture(scope="module")
def alphas():
    """Predictions that are uncertain in spots, so that bands are neither empty nor everything."""
    result = {}
    for index, head in enumerate(HEADS):
        alpha = (_random(index, 2, 64, 64, 1) < 0.5).astype(np.float32)
        alpha[:, 5::32, 7::32] = 0.3 + 0.1 * index
        alpha[:, 14 + 6 * index, 20] = 0.5
        result[head] = alpha
    return result


@pytest.fixture(scope="module")
def unknown():
    return (_random(9, 2, 64, 64, 1) < 0.4).astype(np.float32)


def _pyramid(image, levels):
    """Details of one (H, W) image by the definition: mirrored 2-D convolutions."""
    taps = np.array([1, 4, 6, 4, 1], np.float64)
    kernel = np.outer(taps, taps) / 256
    details = []
    for _ in range(levels):
        small = ndimage.convolve(image, kernel, mode="mirror")[::2, ::2]
        zeros = np.zeros(image.shape)
        zeros[::2, ::2] = small
        details.append(image - ndimage.convolve(zeros, 4 * kernel, mode="mirror"))
        image = small
    return details


@pytest.mark.parametrize(("shape", "levels"), [((64, 96), 5), ((16, 8), 2)])
@pytest.mark.parametrize("squared", [False, True])
def test_laplacian_by_its_definition(shape, levels, squared):
    prediction, target = (_random(seed, 1, *shape, 1) for seed in (0, 1))
    weight = (_random(2, 1, *shape, 1) < 0.5).astype(np.float32)
    power = 2 if squared else 1
    weighted = plain = 0.0
    for level, (of_prediction, of_target) in enumerate(
        zip(*(_pyramid(x[0, ..., 0].astype(np.float64), levels) for x in (prediction, target)),
            strict=True)
    ):
        error = np.abs(of_prediction - of_target) ** power
        inside = weight[0, :: 2**level, :: 2**level, 0]
        weighted += 2**level * (error * inside).sum() / (inside.sum() + 1e-8)
        plain += 2**level * error.mean()
    measure = jax.jit(functools.partial(objectives.laplacian, levels=levels, squared=squared))
    np.testing.assert_allclose(measure(prediction, target, weight), weighted, rtol=1e-5)
    np.testing.assert_allclose(measure(prediction, target), plain, rtol=1e-5)


@pytest.mark.parametrize("shape", [(32, 64), (64, 80)])
def test_laplacian_refuses_sizes_that_do_not_divide(shape):
    image = np.zeros((1, *shape, 1), np.float32)
    with pytest.raises(ValueError, match=f"{shape[0]} x {shape[1]}"):
        objectives.laplacian(image, image)


def test_composition_adds_up_channels_where_it_is_weighted():
    alpha, weight = _random(0, 2, 4, 4, 1), _random(1, 2, 4, 4, 1)
    foreground, background, image = (_random(seed, 2, 4, 4, 3) for seed in (2, 3, 4))
    error = np.abs(foreground * alpha + background * (1 - alpha) - image)
    arguments = (alpha, foreground, background, image)
    np.testing.assert_allclose(
        objectives.composition(*arguments, weight), (error * weight).sum() / weight.sum(), rtol=1e-5
    )
    np.testing.assert_allclose(objectives.composition(*arguments), error.mean(), rtol=1e-5)


def test_an_empty_region_costs_nothing():
    ones = np.ones((1, 64, 64, 1), np.float32)
    for measure in (objectives.regression, objectives.laplacian):
        assert float(jax.jit(measure)(ones, 0 * ones, 0 * ones)) == 0


def test_half_precision_predictions_are_measured_in_single():
    prediction = jnp.full((1, 64, 64, 1), 0.5, jnp.bfloat16)
    target = np.full((1, 64, 64, 1), 0.501, np.float32)
    for weight in (None, np.ones_like(target)):
        found = objectives.regression(prediction, target, weight)
        assert found.dtype == jnp.float32
        assert float(found) == pytest.approx(0.001, rel=1e-3)


def test_combine_counts_the_full_resolution_twice():
    assert float(objectives.combine(os1=5.0, os4=10.0, os8=20.0)) == pytest.approx(8.0)


def _regions(alphas, unknown, step=0, seed=0, **settings):
    return objectives.regions(
        alphas, unknown, step, jax.random.key(seed), objectives.Settings(**settings)
    )


def test_pretraining_overwrites_outside_of_the_unknown_region(alphas, unknown):
    seen, weights = _regions(alphas, unknown)
    known = unknown == 0
    np.testing.assert_array_equal(seen["os8"], alphas["os8"])
    for head in ("os4", "os1"):
        np.testing.assert_array_equal(seen[head], np.where(known, alphas["os8"], alphas[head]))
        np.testing.assert_array_equal(weights[head], unknown)
    assert (np.asarray(weights["os8"]) == 1).all()


def test_whole_counts_every_prediction_everywhere(alphas, unknown):
    seen, weights = _regions(alphas, unknown, regions="whole")
    for head in HEADS:
        np.testing.assert_array_equal(seen[head], alphas[head])
        assert (np.asarray(weights[head]) == 1).all()


@pytest.fixture(scope="module")
def schedule(alphas, unknown):
    """Self-guided regions as a compiled function of (step, seed), and whether bands were used."""
    settings = objectives.Settings(regions="self_guided", warmup=10, band=(5, 3), band_side=128)

    @jax.jit  # pictures are arguments: of constants, the compiler would work out every band
    def run(alphas, unknown, step, seed):
        return objectives.regions(alphas, unknown, step, jax.random.key(seed), settings)

    def call(step, seed):
        seen, weights = run(alphas, unknown, step, seed)
        guided = (np.asarray(weights["os4"]) != unknown).any()
        return seen, weights, guided

    return call


def test_warmup_counts_the_unknown_region_and_overwrites_nothing(alphas, unknown, schedule):
    for step in (0, 9):
        seen, weights, guided = schedule(step, step)
        assert not guided
        for head in HEADS:
            np.testing.assert_array_equal(seen[head], alphas[head])
        np.testing.assert_array_equal(weights["os1"], unknown)
        assert (np.asarray(weights["os8"]) == 1).all()


def test_a_fair_coin_decides_after_the_warmup(schedule):
    for step in (10, 29):
        flips = [schedule(step, seed)[2] for seed in range(12)]
        assert 2 <= sum(flips) <= 10


def test_bands_guide_from_three_warmups_on(alphas, schedule):
    os8, os4, os1 = (alphas[head] for head in ("os8", "os4", "os1"))
    bands4 = {int(refinement.unknown_band(os8[:1], size, side=128).sum()) for size in range(1, 5)}
    for seed in range(3):
        seen, weights, guided = schedule(30, seed)
        assert guided
        inside4, inside1 = (np.asarray(weights[head]) for head in ("os4", "os1"))
        assert int(inside4[0].sum()) in bands4
        np.testing.assert_array_equal(seen["os4"], np.where(inside4, os4, os8))
        np.testing.assert_array_equal(seen["os1"], np.where(inside1, os1, seen["os4"]))
        assert 0 < inside1.sum() < inside1.size
        assert (np.asarray(weights["os8"]) == 1).all()


@pytest.fixture(scope="module")
def targets(alphas, unknown):
    return {
        "alpha": _random(20, *alphas["os1"].shape),
        "unknown": unknown,
        **{
            name: _random(seed, 2, 64, 64, 3)
            for seed, name in enumerate(("image", "foreground", "background"), 30)
        },
    }


def _loss(alphas, targets, **settings):
    run = jax.jit(objectives.loss, static_argnames="settings")
    return run(
        alphas, **targets, step=0, rng=jax.random.key(0), settings=objectives.Settings(**settings)
    )


def test_total_is_the_sum_of_weighted_terms(alphas, targets):
    total, terms = _loss(alphas, targets)
    assert list(terms) == ["alpha", "composition", "laplacian"]
    np.testing.assert_allclose(total, sum(terms.values()), rtol=1e-6)
    half, halved = _loss(alphas, targets, alpha=0.5, composition=3.0)
    np.testing.assert_allclose(halved["alpha"], 0.5 * terms["alpha"], rtol=1e-6)
    np.testing.assert_allclose(halved["composition"], 3 * terms["composition"], rtol=1e-6)
    np.testing.assert_allclose(half, sum(halved.values()), rtol=1e-6)


def test_a_term_of_weight_0_is_not_computed(alphas, targets):
    _, terms = _loss(alphas, targets, alpha=1.0, composition=0.0, laplacian=0.0)
    assert list(terms) == ["alpha"]
    odd = {name: array[:, :40] for name, array in targets.items()}
    cut = {head: array[:, :40] for head, array in alphas.items()}
    _loss(cut, odd, laplacian=0.0)  # a pyramid of 40 rows cannot be built
    with pytest.raises(ValueError, match="40 x 64"):
        _loss(cut, odd)


def test_gradients_reach_a_prediction_only_where_it_is_kept(alphas, targets):
    gradient = jax.grad(lambda x: _loss(x, targets)[0])(alphas)
    known = targets["unknown"] == 0
    for head in ("os1", "os4"):
        assert not np.asarray(gradient[head])[known].any()
        assert np.asarray(gradient[head])[~known].any()
    assert np.asarray(gradient["os8"])[known].any()


@pytest.mark.parametrize("regions", ["pretrain", "self_guided"])
def test_a_batch_over_two_devices_has_the_loss_of_the_whole(alphas, targets, regions):
    """Regions are weighted over the whole batch, and bands are drawn for it."""
    plan = sharding.Plan(jax.devices()[:2])
    spread = jax.device_put((alphas, targets), plan.batch_sharding)
    options = {"regions": regions, "warmup": 0, "band": (5, 3), "band_side": 128}
    whole, parts = _loss(alphas, targets, **options), _loss(*spread, **options)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_loss_without_terms_is_refused():
    changes = {"alpha": 0.0, "composition": 0.0, "laplacian": 0.0}
    with pytest.raises(UserError, match="nothing to minimise"):
        dataclasses.replace(objectives.Settings(), **changes)
