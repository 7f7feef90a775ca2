"""Tests of what needs an extra are left out where it is not installed."""

import pytest

from jaxedit.data import alpha_matting


def need_pymatting() -> None:
    """Skips the test without PyMatting; importing all of it here would compile two minutes."""
    if not alpha_matting.available():
        pytest.skip("pymatting is not installed")
