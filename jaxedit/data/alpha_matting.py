"""PyMatting (Germer et al., JOSS 2020), the extra `matting`: the one place that calls it.

A pixel of a soft edge is a mixture, I = alpha F + (1 - alpha) B. Here are estimates of the
subject's own colours F, and of the opacity alpha from a trimap. Host side, NumPy.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io

import numpy as np

from jaxedit.errors import UserError
from jaxedit.host import levels

INSTALL = "Install it: pip install jaxedit[matting]"


def available() -> bool:
    """Whether PyMatting is installed."""
    return importlib.util.find_spec("pymatting") is not None


def check(what: str, otherwise: str = "") -> None:
    """Raises UserError where PyMatting is absent.

    Args:
      what: what needs it, beginning a sentence.
      otherwise: how it goes without, ending the sentence that says how to install it.
    """
    if not available():
        raise UserError(f"{what} needs pymatting. {INSTALL}{otherwise}.")


def own_colours(picture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Returns F, uint8 (H, W, 3); where alpha is 0 it continues what lies inside.

    The multi-level method of Germer et al., "Fast Multi-Level Foreground Estimation" (ICPR 2020),
    on the stored (gamma-encoded) values.

    Args:
      picture: uint8 (H, W, 3).
      alpha: (H, W) in [0, 1].
    """
    from pymatting import estimate_foreground_ml

    stored = picture.astype(np.float32) / 255
    return levels.of_opacity(estimate_foreground_ml(stored, np.asarray(alpha, np.float32)))


def closed_form(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Returns alpha (H, W) by closed-form matting (Levin et al., TPAMI 2008), not clipped.

    Args:
      image: float64 (H, W, 3) in [0, 1].
      trimap: float64 (H, W), 0 and 1 where alpha is known, 0.5 elsewhere.

    Raises:
      ValueError, ArithmeticError, numpy.linalg.LinAlgError: the solver fails.
    """
    from pymatting import estimate_alpha_cf, jacobi

    with _quiet():
        try:
            return estimate_alpha_cf(image, trimap)
        except ValueError:  # the incomplete Cholesky factor does not exist for every picture
            return estimate_alpha_cf(image, trimap, preconditioner=jacobi)


def nearest_neighbours(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Returns alpha by KNN matting (Chen et al., TPAMI 2013); otherwise as `closed_form`."""
    from pymatting import estimate_alpha_knn

    with _quiet():
        return estimate_alpha_knn(image, trimap)


def _quiet() -> contextlib.AbstractContextManager:
    """The solvers print that they are slow where they repeat a step; failures they raise."""
    return contextlib.redirect_stdout(io.StringIO())
