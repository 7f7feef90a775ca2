"""Rates that several papers share."""

import numpy as np
import pytest

from jaxedit.optim import schedules


@pytest.mark.parametrize("kind, last", [("constant", 0.1), ("cosine", 0.0)])
def test_rates(kind, last):
    rate = schedules.warmed_up(kind, 0.1, 4, 20)
    np.testing.assert_allclose([rate(0), rate(2), rate(4)], [0.02, 0.06, 0.1], rtol=1e-5)
    np.testing.assert_allclose(rate(20), last, atol=1e-7)
    assert rate(12) == pytest.approx(0.1 if kind == "constant" else 0.05)
    assert schedules.warmed_up(kind, 0.1, 0, 20)(0) == pytest.approx(0.1)
