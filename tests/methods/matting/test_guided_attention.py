"""Guided contextual attention, against loops written in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.methods.matting import guided_attention
from jaxedit.methods.matting.guided_attention import GuidanceHead, GuidedAttention
from jaxedit.run import drawing


def _random(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _patch(image, row, column, size):
    """The `size` x `size` patch that begins at (row, column) of one mirrored image."""
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="reflect")
    return padded[row + 1 : row + 1 + size, column + 1 : column + 1 + size]


def _expected_attention(guidance, unknown):
    """(h, w, G), (h, w, 1) -> (N, N), patch by patch."""
    height, width, _ = guidance.shape
    places = [(row, column) for row in range(height) for column in range(width)]
    patches = [_patch(guidance, row - 1, column - 1, 3).ravel() for row, column in places]
    hidden = [_patch(unknown, row - 1, column - 1, 3).any() for row, column in places]
    share = unknown.mean()
    with np.errstate(divide="ignore"):
        sharp_unknown = np.clip(np.sqrt(share / (1 - share)), 0.1, 10)
        sharp_known = np.clip(np.sqrt((1 - share) / share), 0.1, 10)
    result = np.zeros((len(places), len(places)))
    for query, patch in enumerate(patches):
        logits = []
        for key, other in enumerate(patches):
            logit = patch @ other / max(np.linalg.norm(other), 1e-4)
            logit *= sharp_unknown if hidden[key] else sharp_known
            logits.append(logit - 1e4 if hidden[key] and key == query else logit)
        weights = np.exp(np.array(logits) - max(logits))
        result[query] = weights / weights.sum()
    return result


@pytest.mark.parametrize("share", [0.0, 0.1, 0.7, 1.0])
def test_attention_patch_by_patch(share):
    guidance = _random(0, 1, 4, 5, 3)
    unknown = (np.random.default_rng(1).random((1, 4, 5, 1)) < share).astype(np.float32)
    found = guided_attention.attention(guidance, unknown)
    expected = _expected_attention(guidance[0], unknown[0])
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    np.testing.assert_allclose(np.sum(found, -1), 1, rtol=1e-5)


def test_an_unknown_patch_never_attends_to_itself():
    guidance = _random(2, 1, 4, 4, 3)
    unknown = np.zeros((1, 4, 4, 1), np.float32)
    unknown[0, 0, 0] = 1
    diagonal = np.diagonal(guided_attention.attention(guidance, unknown)[0]).reshape(4, 4)
    np.testing.assert_array_equal(diagonal[:2, :2], 0)  # every patch that holds the pixel
    assert (diagonal[2:] > 0).all() and (diagonal[:, 2:] > 0).all()


def test_samples_do_not_mix():
    guidance = _random(3, 2, 4, 4, 3)
    unknown = (_random(4, 2, 4, 4, 1) > 0).astype(np.float32)
    both = guided_attention.attention(guidance, unknown)
    alone = guided_attention.attention(guidance[1:], unknown[1:])
    np.testing.assert_allclose(both[1:], alone, atol=1e-6)


def test_rebuild_patch_by_patch():
    features = _random(5, 1, 6, 8, 2)
    weights = np.random.default_rng(6).random((1, 12, 12)).astype(np.float32)
    canvas = np.zeros((8, 10, 2))
    places = [(row, column) for row in range(3) for column in range(4)]
    for query, (row, column) in enumerate(places):
        for key, (other_row, other_column) in enumerate(places):
            patch = _patch(features[0], 2 * other_row - 1, 2 * other_column - 1, 4)
            canvas[2 * row : 2 * row + 4, 2 * column : 2 * column + 4] += (
                weights[0, query, key] * patch
            )
    found = guided_attention.rebuild(features, weights)
    np.testing.assert_allclose(found[0], canvas[1:-1, 1:-1] / 4, rtol=1e-4, atol=1e-5)


def test_attention_to_itself_gives_the_inside_back():
    features = _random(7, 1, 8, 8, 3)
    found = guided_attention.rebuild(features, np.eye(16, dtype=np.float32)[None])
    np.testing.assert_allclose(found[:, 1:-1, 1:-1], features[:, 1:-1, 1:-1], atol=1e-6)


@pytest.fixture(scope="module")
def layer():
    features, guidance = _random(8, 2, 8, 8, 4), _random(9, 2, 8, 8, 6)
    unknown = (_random(10, 2, 8, 8, 1) > 0).astype(np.float32)
    module = GuidedAttention()
    variables = drawing.drawn(
        lambda *inputs: module.init(*inputs, train=False), jax.random.key(0), features, guidance,
        unknown,
    )
    return module, variables, (features, guidance, unknown)


def test_starts_almost_as_the_identity(layer):
    module, variables, inputs = layer
    found = module.apply(variables, *inputs, train=False)
    difference = np.abs(found - inputs[0])
    assert 0 < difference.max() < 0.02


def test_gradients_reach_features_and_guidance(layer):
    module, variables, (features, guidance, unknown) = layer

    def total(features, guidance):
        y, _ = module.apply(
            variables, features, guidance, unknown, train=True, mutable=["batch_stats"]
        )
        return jnp.sum(y * features[..., ::-1])

    for gradient in jax.jit(jax.grad(total, (0, 1)))(features, guidance):
        assert np.isfinite(gradient).all() and np.any(gradient != 0)


def test_guidance_is_an_eighth_of_the_picture():
    module = GuidanceHead(width=4)
    image = jnp.zeros((1, 32, 64, 3))
    shape = jax.eval_shape(
        lambda: module.init_with_output(jax.random.key(0), image, train=False)[0]
    ).shape
    assert shape == (1, 4, 8, 16)
