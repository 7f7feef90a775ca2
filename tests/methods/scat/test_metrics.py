"""AOT-GAN's relative error on hand-made cases."""

import numpy as np
import pytest

from jaxedit import metrics as core
from jaxedit.methods.scat import metrics


def test_aotgan_mae_is_relative():
    a = np.full((1, 4, 4, 3), 0.0, np.float32)  # 127.5
    b = np.full((1, 4, 4, 3), 1.0, np.float32)  # 255
    assert metrics.aotgan_mae(a, b) == pytest.approx(127.5 / 382.5)


def test_black_images_have_no_relative_error():
    black = -np.ones((2, 12, 12, 3), np.float32)
    keys = core.Keys("filled", "truth")
    (metric,), _ = core.create(["aotgan_mae"], keys, own=metrics.OWN)
    accumulator = metric.new()
    accumulator.update({"filled": black}, {"truth": black})
    assert accumulator.counts() == {"aotgan_mae": 0}
    assert "because the images are black" in accumulator.notes()["aotgan_mae"]
