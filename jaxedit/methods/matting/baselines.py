"""What a matting network must beat: the trimap itself, and two solvers. Host side, NumPy.

Closed-form and KNN matting are those of `data.alpha_matting`; where its library is absent,
`create` leaves the two out and `absent` says how to get them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np

from jaxedit.data import alpha_matting
from jaxedit.data.trimaps import UNKNOWN

CLOSED_FORM_REACH = 2  # pixels: its windows are 3 x 3, and an unknown pixel lies in nine of them
Batch = Mapping[str, np.ndarray]
Baseline = Callable[[Batch], np.ndarray]


def trimap_as_alpha(batch: Batch) -> np.ndarray:
    """Returns the trimap read as an alpha: unknown is 0.5.

    Args:
      batch: `trimap` (B, H, W, 1), labels 0 background, 1 unknown, 2 foreground.

    Returns:
      (B, H, W, 1) float32 in {0, 0.5, 1}.
    """
    return np.asarray(batch["trimap"], np.float32) / 2


def closed_form(batch: Batch) -> np.ndarray:
    """Returns alphas by closed-form matting.

    Args:
      batch: `image` (B, H, W, 3) in [-1, 1] and `trimap` as in `trimap_as_alpha`.

    Returns:
      (B, H, W, 1) float32 in [0, 1], known pixels exactly 0 or 1. What the trimap leaves open is
      settled as the energy settles it: with one class known, that class everywhere; with none,
      every constant is as good, and 0.5 is taken. NaN, after a warning, where the solver fails.
    """
    return _solve(batch, "closed_form", alpha_matting.closed_form)


def knn(batch: Batch) -> np.ndarray:
    """Returns alphas by KNN matting. Arguments and result as in `closed_form`."""
    return _solve(batch, "knn", alpha_matting.nearest_neighbours)


def create(classical: bool = True) -> dict[str, Baseline]:
    """Returns name -> baseline: the trimap, and the solvers if wanted and on this machine."""
    names = BASELINES if classical and alpha_matting.available() else ("trimap",)
    return {name: BASELINES[name] for name in names}


def absent() -> tuple[str, ...]:
    """Returns a line for each solver that is not on this machine: why, and how to get it."""
    if alpha_matting.available():
        return ()
    return tuple(
        f"{name}: absent: it needs pymatting. {alpha_matting.INSTALL}"
        for name in BASELINES if name != "trimap"
    )


def _solve(
    batch: Batch, name: str, estimate: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    alphas = trimap_as_alpha(batch)
    for index, trimap in enumerate(np.asarray(batch["trimap"])[..., 0]):
        known = np.unique(trimap[trimap != UNKNOWN])
        if known.size < 2:
            alphas[index] = known[0] / 2 if known.size else 0.5
            continue
        if not (trimap == UNKNOWN).any():
            continue
        image = (np.asarray(batch["image"][index], np.float64) + 1) / 2
        try:
            solution = estimate(np.clip(image, 0, 1), trimap.astype(np.float64) / 2)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            # The figure of this system becomes "not a number": a stand-in would pass for it.
            warnings.warn(f"{name} failed on image {index} of a batch: {error}", stacklevel=3)
            solution = np.full(trimap.shape, np.nan)
        unknown = trimap == UNKNOWN
        alphas[index, unknown, 0] = np.clip(solution[unknown], 0, 1)
    return alphas


BASELINES: dict[str, Baseline] = {
    "trimap": trimap_as_alpha, "closed_form": closed_form, "knn": knn,
}
