"""Classical methods in the place of a network: what the verbs call where a person asks for one.

A solver sees only the part of a photograph that its answer depends on, so that a small hole in a
photograph of twelve megapixels is a small problem.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Estimate = Callable[[Mapping[str, np.ndarray]], np.ndarray]


def within(
    estimate: Estimate, inputs: Mapping[str, np.ndarray], needed: np.ndarray, margin: int
) -> np.ndarray | None:
    """Returns what `estimate` makes of the smallest box around what is needed.

    Args:
      estimate: takes a batch of one, name -> (1, h, w, C), and returns (1, h, w, C).
      inputs: name -> (H, W, C).
      needed: bool (H, W), True where an answer is wanted.
      margin: how many pixels around these the answer depends on.

    Returns:
      float32 (H, W, C), zero outside of the box; None where nothing is needed.
    """
    if not needed.any():
        return None
    box = tuple(
        slice(max(0, found[0] - margin), found[-1] + margin + 1)
        for found in (np.flatnonzero(needed.any(1)), np.flatnonzero(needed.any(0)))
    )
    part = estimate({name: array[box][None] for name, array in inputs.items()})[0]
    whole = np.zeros((*needed.shape, part.shape[-1]), np.float32)
    whole[box] = part
    return whole
