"""Parity with published networks is tested on XLA's own convolutions, bit for bit the same."""

import pytest

from jaxedit.layers.convolution import formulation


@pytest.fixture(autouse=True, scope="package")
def _plain_convolutions():
    with formulation.using("xla"):
        yield
