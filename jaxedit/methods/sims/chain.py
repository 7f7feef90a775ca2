"""All of SIMS in use: a canvas of a layout, and the photograph that a network makes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxedit.errors import UserError
from jaxedit.methods.sims import placing, scaling
from jaxedit.methods.sims.bank import Bank
from jaxedit.methods.sims.composition import Composer, Composition, Settings


@dataclasses.dataclass(frozen=True)
class Chain:
    """What makes a photograph of a layout.

    Attributes:
      composer: makes the canvas.
      synthesise: the synthesis network's task; None leaves it at the canvas.
    """

    composer: Composer
    synthesise: Callable[..., Mapping[str, np.ndarray]] | None

    def make(
        self, label: np.ndarray, allowed: np.ndarray, seed: int, variant: int = 0
    ) -> tuple[Composition, np.ndarray]:
        """Returns (composition, picture float32 (H, W, 3) in [-1, 1]) of a layout.

        Args:
          label: int (h, w) of the bank's classes, scaled by its nearest pixels.
          allowed: bool (pictures,), which pictures of the bank may lend segments.
          seed: of what is drawn.
          variant: from 1 on donors are drawn among the best instead of taking the best.
        """
        made = self.composer(
            scaling.nearest(label, self.composer.size), allowed=allowed,
            rng=np.random.default_rng((seed, variant)), vary=variant > 0,
        )
        if self.synthesise is None:
            return made, 2 * made.canvas - 1
        outputs = self.synthesise(layout=made.layout, canvas=made.canvas, presence=made.presence)
        return made, outputs["image"]

    def allowed(
        self, donors: Sequence[str] | None, licences: Sequence[str] | None
    ) -> np.ndarray:
        """Returns which pictures of the bank may lend segments, bool (pictures,).

        Raises:
          UserError: none may.
        """
        bank = self.composer.bank
        allowed = bank.allowed(only=donors, licences=licences)
        if not allowed.any():
            raise UserError(
                f"No picture of the bank is under {' or '.join(licences)}. It has: "
                f"{', '.join(bank.facts['licences'])}."
            )
        return allowed


def collage(bank: Bank, size: tuple[int, int] | None = None, *, align: bool = True) -> Chain:
    """Returns what pastes segments, whole, and paints nothing: for banks of any classes.

    Args:
      bank: where they come from; they are ordered by its classes' sizes.
      size: (height, width) of results; None is that of the bank's colours.
      align: move segments onto their places by the moments of their masks.
    """
    move = placing.by_moments() if align else None
    return Chain(Composer(bank, Settings(erase="none"), move, size=size), None)
