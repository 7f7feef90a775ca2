"""A continuation inside of a network, against that of one picture."""

import jax
import numpy as np
import pytest

from jaxedit.host.membrane import continued
from jaxedit.layers import membrane
from tests.host.test_membrane import hole


@pytest.mark.parametrize("size", [(16, 16), (32, 64), (24, 40), (9, 9)])
def test_a_batch_is_continued_like_its_pictures(size):
    rng = np.random.default_rng(1)
    values = rng.standard_normal((3, *size, 2)).astype(np.float32)
    unknown = rng.random((3, *size)) < 0.3
    unknown[1, 2:-2, 3:] = True
    unknown[2] = False
    found = membrane.continued(values, np.float32(unknown)[..., None])
    for one, alone, hidden in zip(found, values, unknown, strict=True):
        np.testing.assert_allclose(one, continued(alone, hidden), atol=2e-5)


@pytest.mark.parametrize("size", [(37, 50), (61, 203)])
def test_a_batch_of_odd_sides_solves_the_same_equations(size):
    values = np.linspace(-1, 1, size[0] * size[1], dtype=np.float32).reshape(1, *size, 1)
    values = np.sin(9 * values)
    unknown = hole(*size)
    found = membrane.continued(values, np.float32(unknown)[None, ..., None])[0]
    other = continued(values[0], unknown)
    assert np.sqrt(np.mean((found - other)[unknown] ** 2)) < 0.01 * np.ptp(values)


def test_a_gradient_is_that_of_a_linear_map():
    rng = np.random.default_rng(2)
    unknown = np.float32(hole(20, 24))[None, ..., None]
    values, towards = rng.standard_normal((2, 1, 20, 24, 1)).astype(np.float32)
    whole, pull_back = jax.vjp(lambda x: membrane.continued(x, unknown), values)
    (gradient,) = pull_back(towards)
    assert float((gradient * values).sum()) == pytest.approx(
        float((whole * towards).sum()), rel=1e-4
    )
    assert not gradient[unknown > 0].any()  # what lies in the hole has no influence


def test_where_nothing_is_known_a_batch_becomes_zero():
    ones = np.ones((2, 16, 16, 1), np.float32)
    unknown = np.stack((ones[0], np.pad(ones[0, 4:8, 4:8], ((4, 8), (4, 8), (0, 0)))))
    found = membrane.continued(ones, unknown)
    assert not found[0].any()
    np.testing.assert_allclose(found[1], 1, atol=1e-6)
