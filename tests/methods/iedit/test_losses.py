"""iEdit's losses beyond their golden file: latent masks, features, texts, items without words."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.methods.iedit import losses

RNG = np.random.default_rng(0)


def latents(*shape):
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


def test_items_without_words_keep_the_source():
    """Their target is the noise itself, whatever the pseudo-target is."""
    predicted, noise, noised, target = (latents(2, 4, 4, 3) for _ in range(4))
    signal = jnp.asarray([0.6, 0.3])
    terms, values = losses.noise_terms(
        predicted, noise, noised, target, None, signal, unconditional=jnp.asarray([True, False]),
        weighting="none",
    )
    wanted = losses.target_noise(noised, target, signal)[1]
    expected = [np.square(predicted - noise)[0].mean(), np.square(predicted[1] - wanted).mean()]
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    assert set(terms) == {"pair"} and float(terms["pair"]) == pytest.approx(np.mean(expected))


def test_weights_of_the_terms():
    terms = {"pair": 2.0, "mask": 3.0, "perceptual": 5.0, "inside": 100.0}
    assert losses.Weights().total(terms) == pytest.approx(0.1 * 2 + 3 + 0.1 * 5)
    assert losses.Weights(mask=0.0).total(terms) == pytest.approx(2 + 0.1 * 5)
    assert losses.Weights(pair=4.0, mask=0.5).total(terms) == pytest.approx(8 + 1.5 + 0.5)


def test_a_mask_of_latents_takes_the_largest_of_both_and_grows():
    source, target = np.zeros((2, 1, 32, 32, 1), np.float32)
    source[0, 3, 3], target[0, 31, 31] = 0.7, 1  # cells (0, 0) and (7, 7) of 4 x 4 pixels
    plain = np.asarray(losses.latent_mask(source, target, 4, grown=0))[0, ..., 0]
    assert plain.shape == (8, 8) and plain[0, 0] == np.float32(0.7) and plain[7, 7] == 1
    assert np.count_nonzero(plain) == 2
    grown = np.asarray(losses.latent_mask(source, None, 4))[0, ..., 0]
    assert (grown[:2, :2] == np.float32(0.7)).all() and np.count_nonzero(grown) == 4


def test_features_follow_the_target_inside_and_the_source_outside():
    """Unit features: 2 is the distance of opposite ones, 0 that of equal ones."""
    one = np.zeros((2, 4, 4, 3), np.float32)
    one[..., 0] = 5.0
    mask = np.zeros((2, 8, 8, 1), np.float32)
    mask[:, :, :4] = 1
    used = np.asarray([True, False])
    loss = lambda made, source, target: float(
        losses.perceptual([made], [source], [target], mask, used)
    )
    assert loss(one, 3 * one, 7 * one) == pytest.approx(0, abs=1e-5)
    assert loss(one, one, -one) == pytest.approx(4, rel=1e-3)  # inside alone
    assert loss(one, -one, one) == pytest.approx(4, rel=1e-3)  # outside alone
    assert loss(one, -one, -one) == pytest.approx(8, rel=1e-3)
    assert float(losses.perceptual([one], [one], [-one], mask, used & False)) == 0


def test_texts_near_and_far():
    texts = np.eye(3, 4, dtype=np.float32)
    used = np.asarray([True, True, False])
    assert float(losses.text_image(2 * texts, texts, used)) == pytest.approx(0, abs=1e-6)
    assert float(losses.text_image(-texts, texts, used)) == pytest.approx(2, rel=1e-5)
    contrast = lambda pictures, **options: float(losses.text_image(
        pictures, texts, used, how="contrastive", temperature=1.0, **options
    ))
    own = np.e / (np.e + 2)  # the share of its own prompt among three at right angles
    assert contrast(texts) == pytest.approx(-np.log(own), rel=1e-5)
    # The first two prompts are the same, so neither is a contrast for the other.
    same = np.eye(3, dtype=bool)
    same[:2, :2] = True
    assert contrast(texts, same=same) == pytest.approx(-np.log(np.e / (np.e + 1)), rel=1e-5)
