"""What is known, continued over what is not."""

import numpy as np
import pytest

from jaxedit.host import membrane


def hole(height, width):
    unknown = np.zeros((height, width), bool)
    unknown[height // 5 : -height // 6, width // 4 :] = True  # up to the right rim
    return unknown


def test_what_is_known_stays_and_nothing_inside_goes_beyond_it():
    rng, unknown = np.random.default_rng(0), hole(70, 90)
    values = rng.standard_normal((70, 90, 3)).astype(np.float32)
    known = ~unknown
    found = membrane.continued(values, unknown)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[known], values[known])
    assert found[unknown].min() >= values[known].min()
    assert found[unknown].max() <= values[known].max()
    # What lay there has no influence, not even where it is no number.
    spoilt = np.where(unknown[..., None], np.float32(np.nan), values)
    np.testing.assert_array_equal(membrane.continued(spoilt, unknown), found)
    np.testing.assert_array_equal(membrane.continued(values, np.zeros_like(unknown)), values)


@pytest.mark.parametrize("size", [(9, 9), (64, 64), (61, 203)])
def test_a_slope_goes_on_and_a_level_stays(size):
    """Both solve Laplace's equation, the slope where its two ends are known."""
    unknown = np.zeros(size, bool)
    unknown[:, size[1] // 3 : -size[1] // 3] = True
    ramp = np.linspace(-1, 1, size[1], dtype=np.float32)
    values = np.broadcast_to(ramp[None, :, None], (*size, 1))
    assert np.abs(membrane.continued(values, unknown) - values).max() < 0.03
    level = np.full((*size, 2), 0.25, np.float32)
    np.testing.assert_allclose(membrane.continued(level, unknown), level, atol=1e-6)


def test_it_solves_the_equation():
    """Against the equations themselves, which a direct solver solves."""
    height, width = 30, 41
    unknown = hole(height, width)
    y, x = np.mgrid[:height, :width]
    values = np.sin(x / 7)[..., None] * np.cos(y / 5)[..., None]
    number = np.full(unknown.shape, -1)
    number[unknown] = np.arange(unknown.sum())
    matrix, right = np.zeros((unknown.sum(),) * 2), np.zeros(unknown.sum())
    for row, column in np.argwhere(unknown):
        at = number[row, column]
        for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= r < height and 0 <= c < width:  # no force from beyond the picture
                matrix[at, at] += 1
                if unknown[r, c]:
                    matrix[at, number[r, c]] -= 1
                else:
                    right[at] += values[r, c, 0]
    expected = np.linalg.solve(matrix, right)
    found = membrane.continued(values, unknown)[unknown][:, 0]
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.01 * np.ptp(values)
