"""The benchmark of what a cut-out carries of its old background, on one drawn scene."""

import pytest

from experiments.benchmarks import fringe
from jaxedit.data import alpha_matting, sources


@pytest.mark.skipif(not alpha_matting.available(), reason="wants the extra `matting`")
def test_estimated_colours_err_less_than_the_photographs_and_true_ones_not_at_all():
    source = sources.create("scenes:64", "eval")
    found = fringe.errors(source.read(1), source.read(2)["background"])
    assert found["true opacity, true colours"] == 0
    by_photo = found["true opacity, the photograph's colours"]
    assert 0 < found["true opacity, estimated colours"] < by_photo
    assert found["closed-form, true colours"] > 0
