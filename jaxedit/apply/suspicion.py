"""A map of what a network takes for filled in, of a photograph whose hole was filled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from jaxedit.apply import crops, tiles
from jaxedit.apply.photograph import Photograph
from jaxedit.errors import UserError
from jaxedit.host import levels

if TYPE_CHECKING:  # it imports JAX, which a verb's help does without
    from jaxedit.apply.applier import Applier

TASK, OUTPUT = "suspect", "suspicion"
_JUDGE = "discriminator"  # the network that suspects


def beside(filling: Callable) -> Applier:
    """Returns what suspects fillings, of the networks of which one fills.

    Args:
      filling: the applier of an "inpaint" task.

    Raises:
      UserError: these networks hold none that tells filled pixels from others.
    """
    method = getattr(filling, "method", None)
    params = getattr(getattr(filling, "variables", None), "params", {})
    if method is None or TASK not in method.tasks or _JUDGE not in params:
        raise UserError(
            "--save-suspicion wants the discriminator that was trained against the network, and "
            "what is used here has none that tells filled pixels from others. Use a run whose "
            "loss trains one (loss.segmentation above 0), or leave the option out."
        )
    return filling.beside(TASK)


def of_filled(
    suspect: Callable, photo: Photograph, hole: np.ndarray, cutting: crops.Cutting
) -> np.ndarray:
    """Returns how much each pixel of a filled hole is suspected, uint8 (H, W); elsewhere 0.

    Args:
      suspect: from `beside`.
      photo: the photograph with its hole filled.
      hole: bool (H, W), what was filled.
      cutting: how the photograph was cut for filling; the same parts are looked at.
    """
    found = np.zeros((*hole.shape, 1), np.float32)
    for crop, inside in crops.places(hole, cutting):
        image = Photograph(photo.pixels[crop]).for_network()
        seen = tiles.apply(
            suspect, {"image": image}, OUTPUT, needed=inside, start=found[crop],
            tile=cutting.resolution, overlap=cutting.resolution // 2,
        )
        found[crop] = np.where(inside[..., None], seen, found[crop])
    return levels.of_opacity(found[..., 0])
