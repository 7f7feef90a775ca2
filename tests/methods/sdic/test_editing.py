"""Directions and edits: the plane that was planted is found, SeFa's order, StyleCLIP's formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.methods.sdic import editing
from jaxedit.models.stylegan2.generator import Generator
from jaxedit.run import drawing

RNG = np.random.default_rng(0)


def unit(x):
    return x / np.linalg.norm(x)


def test_a_planted_plane_is_found():
    truth, other = unit(RNG.standard_normal(12)), unit(RNG.standard_normal(12))
    codes = RNG.standard_normal((2000, 12)).astype(np.float32) + 3
    plane = editing.separating_plane(codes, codes @ truth)
    assert plane.normal @ truth > 0.95 and plane.accuracy == 1
    kept = editing.conditional(plane.normal, [other, truth + other])
    assert abs(kept @ other) < 1e-6 and abs(kept @ truth) < 1e-6
    assert np.linalg.norm(kept) == pytest.approx(1, abs=1e-6)
    with pytest.raises(UserError, match="Nothing is left"):
        editing.conditional(truth, [truth])
    with pytest.raises(UserError, match="scores that differ"):
        editing.separating_plane(codes, np.ones(2000))


def test_moves_are_per_sample():
    codes = np.zeros((2, 3, 4), np.float32)
    moved = editing.move(codes, np.eye(3, 4, dtype=np.float32), np.array([1.0, -2.0]))
    np.testing.assert_array_equal(moved, np.stack([np.eye(3, 4), -2 * np.eye(3, 4)]))


def test_principal_components_and_targets():
    directions = np.linalg.qr(RNG.standard_normal((8, 8)))[0]
    codes = RNG.standard_normal((4000, 8)) * [5, 3, 1, 1, 1, 1, 1, 1] @ directions.T + 2
    components = editing.principal_components(codes, 2)
    np.testing.assert_allclose(components.deviations, [5, 3], rtol=0.05)
    np.testing.assert_allclose(np.abs(components.vectors[:, 0] @ directions[:, :2]), np.eye(2),
                               atol=0.1)
    several = RNG.standard_normal((2, 6, 8)).astype(np.float32)
    edited = np.asarray(editing.ganspace(several, components, 0, (0, 4), 7.0))
    at = (edited[:, 0] - components.mean) @ components.vectors[0, 0] / components.deviations[0]
    np.testing.assert_allclose(at, 7, rtol=1e-4)
    np.testing.assert_array_equal(edited[:, 4:], several[:, 4:])
    for component, layers, message in ((2, (0, 1), "Component 2: there are 2"),
                                       (0, (5, 7), "Layers 5 to 7: there are 6")):
        with pytest.raises(UserError, match=message):
            editing.ganspace(several, components, component, layers, 1.0)


def test_closed_form_is_sorted():
    kernels = [RNG.standard_normal((5, 9)), RNG.standard_normal((5, 4))]
    kernels[0][2] *= 40  # input 2 changes styles most
    found = editing.closed_form(kernels, 3)
    joined = np.concatenate(kernels, 1)
    joined = joined / np.linalg.norm(joined, axis=0)
    change = np.linalg.norm(found @ joined, axis=1)
    assert np.all(np.diff(change) < 0) and found[0].argmax() == 2
    assert change[0] == pytest.approx(np.linalg.norm(joined, 2), rel=1e-5)


def test_global_directions():
    channels = np.stack([unit(RNG.standard_normal(6)) for _ in range(10)])
    target, neutral = RNG.standard_normal((2, 3, 6))
    text = editing.text_direction(target, neutral)
    mean = lambda rows: unit(np.mean([unit(row) for row in rows], 0))
    np.testing.assert_allclose(text, unit(mean(target) - mean(neutral)))
    deviations = np.arange(1.0, 11)
    relevance = channels @ text
    beta = np.median(np.abs(relevance))
    moves = editing.global_direction(channels, text, deviations, beta)
    assert (moves == 0).sum() == 5
    most = np.abs(relevance).argmax()
    assert moves[most] == pytest.approx(np.sign(relevance[most]) * deviations[most])
    with pytest.raises(UserError, match="Choose a smaller beta"):
        editing.global_direction(channels, text, deviations, 2.0)
    plus, minus = RNG.standard_normal((2, 4, 6))
    pairs = zip(plus, minus, strict=True)
    expected = unit(np.mean([unit(unit(p) - unit(m)) for p, m in pairs], 0))
    np.testing.assert_allclose(editing.channel_direction(plus, minus), expected)


def test_styles_are_numbered_as_the_generator_numbers_them():
    assert Generator(1024).codes == 18
    numbers = editing.style_numbers(1024)
    assert len(numbers) == 17 and numbers[:11] == (0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15)
    moves = np.arange(7.0)
    offsets = editing.style_offsets(moves, (1, 2, 4), 8, edited=2)
    assert list(offsets) == [0, 2]
    np.testing.assert_array_equal(offsets[2], [1, 2])


def test_closed_form_takes_the_modulations_of_a_generator():
    """In the order of the layers' codes: conv1, then the two of each larger resolution."""
    generator = Generator(size=16, style_width=8, mapping_layers=1, most_channels=6)
    params = drawing.drawn(generator.init, jax.random.key(0), jnp.zeros((1, 8)))["params"]
    kernels = editing.modulation_kernels(params, range(5))
    assert [kernel.shape for kernel in kernels] == [(8, 6)] * 5
    np.testing.assert_array_equal(kernels[0], params["conv1"]["conv"]["modulation"]["kernel"])
    np.testing.assert_array_equal(kernels[4], params["convs_3"]["conv"]["modulation"]["kernel"])
    found = editing.closed_form(kernels, 2)
    assert found.shape == (2, 8) and abs(found[0] @ found[1]) < 1e-5
