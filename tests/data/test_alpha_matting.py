"""PyMatting's functions, imported one by one."""

import os
import subprocess
import sys

from tests import extras

_PROGRAM = """
import sys
import numpy as np
from jaxedit.data import alpha_matting

image = np.random.default_rng(0).random((12, 14, 3))
trimap = np.full((12, 14), 0.5)
trimap[:4], trimap[-4:] = 0, 1
alone = alpha_matting.closed_form(image, trimap)
assert not [name for name in sys.modules if name.split(".")[0] == "pymatting"]
assert np.isfinite(alone).all()
"""


def test_a_function_comes_without_the_rest(tmp_path):
    """With an empty cache the program would otherwise compile what it never calls."""
    extras.need_pymatting()
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", _PROGRAM], check=True, env=environment)
    compiled = {path.name.split(".")[0] for path in tmp_path.rglob("*.nbi")}
    assert {name.partition("-")[0] for name in compiled} == {"cf_laplacian", "ichol"}
