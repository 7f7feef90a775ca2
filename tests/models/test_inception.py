"""The FID Inception against an independent re-implementation (see the golden JSON)."""

from pathlib import Path

import jax
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.models import inception
from jaxedit.weights import table
from tests.parity.golden import Golden

GOLDENS = Path(__file__).parents[1] / "metrics" / "goldens"


@pytest.fixture(scope="module")
def golden():
    return Golden(GOLDENS / "inception.json")


@pytest.fixture(scope="module")
def variables(golden):
    published = golden.published()
    for name in published:
        if name.endswith("conv.weight"):
            published[name] *= np.float32(golden.info["multiply"]["conv.weight"])
    return table.to_jax(inception.conversion_table(), published, inception.shapes())


def test_features_match_the_reimplementation(golden, variables):
    images = (golden.input("image") + 1) / 2
    features = jax.jit(inception.FIDInception(resize=False).apply)(variables, images)
    golden.compare("features", features)


def test_table_names_every_published_array_once(golden):
    names = inception.conversion_table()
    assert set(names) == set(golden.shapes())
    assert len({entry.path for entry in names.values()}) == len(names) == 94 * 5


def test_resize_matches_torch():
    golden = Golden(GOLDENS / "inception_resize.json")
    for name in ("small", "large"):
        golden.compare(name, inception.resize(golden.input(name)))


def test_resize_is_the_default():
    shape = (1, 20, 30, 3)
    out = jax.eval_shape(inception.FIDInception().apply, inception.shapes(), np.zeros(shape))
    assert out.shape == (1, inception.FEATURES)
    with pytest.raises(UserError, match="at least 75 pixels a side, got 20x30"):
        inception.FIDInception(resize=False).init(jax.random.key(0), np.zeros(shape))
