"""What `jaxedit matte` is asked to make of a matte."""

from __future__ import annotations

import dataclasses
import pathlib

from jaxedit.apply import cutout, subject
from jaxedit.errors import UserError

_SMALLEST_TILE = 128


@dataclasses.dataclass(frozen=True)
class Options:
    """What to make of a matte.

    Attributes:
      from_mask: the trimap is made of a coarse mask of the subject.
      cut: the coarse mask is what GrabCut finds in `box`; a photo has no companion.
      box: with `cut`: (x, y, width, height) around the subject; None: it fills the photo.
      trimap_width: with `from_mask`: see `jaxedit.data.trimaps.from_mask`; None is its default.
      round_trimap: trimap files may hold other values than 0, 128 and 255.
      save_trimap: with `from_mask`: where the trimap is kept; a folder for a folder of photos.
      background: an image file; the result is the subject over it.
      alpha_only: the result is the matte, as a grey picture.
      premultiplied: colours of a transparent result are multiplied by its opacity.
      keep_colours: the photo's colours, and the fringe in them, instead of the subject's own.
      compare: where a sheet with the classical methods' mattes goes; a folder for a folder.
      tile: side of the tiles in pixels; 0 never cuts; None cuts photographs of more than
        `WHOLE` pixels into tiles of `TILE`.
    """

    from_mask: bool = False
    cut: bool = False
    box: subject.Box | None = None
    trimap_width: float | None = None
    round_trimap: bool = False
    save_trimap: pathlib.Path | None = None
    background: pathlib.Path | None = None
    alpha_only: bool = False
    premultiplied: bool = False
    keep_colours: bool = False
    compare: pathlib.Path | None = None
    tile: int | None = None

    @property
    def companion(self) -> str:
        """What the companion of a photo is called."""
        return "mask" if self.from_mask else "trimap"

    def check(self) -> None:
        """Raises UserError where a value is of no use or needs what is not here."""
        if self.tile is not None and self.tile != 0 and self.tile < _SMALLEST_TILE:
            raise UserError(
                f"--tile {self.tile}: expected 0 (never cut), or at least {_SMALLEST_TILE} pixels: "
                "in a small tile the network sees too little."
            )
        if not self.alpha_only and not self.keep_colours:
            cutout.check_extra()
