"""PyMatting (Germer et al., JOSS 2020), the extra `matting`: the one place that calls it.

A pixel of a soft edge is a mixture, I = alpha F + (1 - alpha) B. Here are estimates of the
subject's own colours F, and of the opacity alpha from a trimap. Host side, NumPy.

`import pymatting` compiles every function of the package when it is imported for the first time,
two minutes on one core; `_function` imports the module of one function and what that one needs.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import pathlib
import sys
import threading
import types
from collections.abc import Callable, Iterator

import numpy as np

from jaxedit.errors import UserError
from jaxedit.host import levels

INSTALL = "Install it: pip install jaxedit[matting]"
_NAME = "pymatting"
_LOCK = threading.Lock()


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
    estimate_foreground_ml = _function("foreground.estimate_foreground_ml")
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
    estimate_alpha_cf = _function("alpha.estimate_alpha_cf")
    with _quiet():
        try:
            return estimate_alpha_cf(image, trimap)
        except ValueError:  # the incomplete Cholesky factor does not exist for every picture
            jacobi = _function("preconditioner.jacobi")
            return estimate_alpha_cf(image, trimap, preconditioner=jacobi)


def nearest_neighbours(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Returns alpha by KNN matting (Chen et al., TPAMI 2013); otherwise as `closed_form`."""
    with _quiet():
        return _function("alpha.estimate_alpha_knn")(image, trimap)


def _quiet() -> contextlib.AbstractContextManager:
    """The solvers print that they are slow where they repeat a step; failures they raise."""
    return contextlib.redirect_stdout(io.StringIO())


@functools.cache
def _function(module: str) -> Callable:
    """Returns the function of PyMatting that is named like its module, such as "alpha.x"."""
    with _LOCK, _bare_packages():
        imported = importlib.import_module(f"{_NAME}.{module}")
    return getattr(imported, module.rpartition(".")[2])


@contextlib.contextmanager
def _bare_packages() -> Iterator[None]:
    """Lets packages of PyMatting be imported without what their `__init__` imports.

    Nothing is changed where somebody has imported PyMatting as a whole; otherwise nothing stays in
    `sys.modules`, so that who imports it later gets all of it.
    """
    if _NAME in sys.modules:
        yield
        return
    (root,) = importlib.util.find_spec(_NAME).submodule_search_locations
    folders = [path.parent for path in pathlib.Path(root).rglob("__init__.py")]
    for folder in folders:
        inner = folder.relative_to(root).parts
        package = types.ModuleType(".".join((_NAME, *inner)))
        package.__path__ = [str(folder)]
        sys.modules[package.__name__] = package
    try:
        yield
    finally:
        for name in [one for one in sys.modules if one.split(".")[0] == _NAME]:
            del sys.modules[name]
