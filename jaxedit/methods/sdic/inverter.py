"""Inversions and edits of single pictures, on the tasks of a method (`inverting.Inverting`)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from jaxedit.data import transforms
from jaxedit.errors import UserError
from jaxedit.host import levels
from jaxedit.methods.sdic import inversion_file, losses
from jaxedit.methods.sdic.directions import Directions, Request
from jaxedit.methods.sdic.inversion_file import Inverted

SMALLEST = 4  # pictures of less than the network's size by this factor are refused
SQUARE = 0.02  # that nobody sees: by how much a picture's shape may differ from the network's
_LOSSES = (losses.PERCEPTUAL, losses.IDENTITY)  # frozen networks that make no picture


class Inverter:
    """What a command does with the networks of one run, or of one published file.

    Args:
      invert: the task `invert`, an `apply.Applier` of a method; its other tasks are made from it.
    """

    def __init__(self, invert):
        self.method = invert.method
        self._invert = invert
        self._tasks = {"invert": invert}

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the network inverts."""
        return tuple(self.method.config.image_size)

    @property
    def codes(self) -> tuple[int, int]:
        """How many codes, and their length."""
        return self._invert.task.outputs["codes"].shape

    @functools.cached_property
    def generator(self) -> str:
        """The fingerprint of the generator."""
        return inversion_file.fingerprint(self._invert.variables.frozen["generator"])

    @functools.cached_property
    def fingerprint(self) -> str:
        """That of all networks that make an inversion."""
        state = self._invert.variables
        frozen = {name: one for name, one in state.frozen.items() if name not in _LOSSES}
        return inversion_file.fingerprint([state.params, state.stats, frozen])

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of an inversion's arrays."""
        outputs = self._invert.task.outputs
        made = self.method.config.network.size
        return {name: outputs[name].shape for name in ("encoded", "codes", "residual")} | {
            "image": (made, made, 3), "picture": (*self.size, 3),
        } | ({"discrepancy": (*self.size, 3)} if self.method.predicts_discrepancy else {})

    def fitted(self, pixels: np.ndarray, name: str) -> tuple[np.ndarray, list[str]]:
        """Returns a picture at the network's size, uint8, and lines of doubt.

        Args:
          pixels: uint8 (H, W, 3), aligned.
          name: what messages call it.

        Raises:
          UserError: it is so small that there is nothing to see.
        """
        height, width = self.size
        least = [-(-side // SMALLEST) for side in (height, width)]
        if pixels.shape[0] < least[0] or pixels.shape[1] < least[1]:
            raise UserError(
                f"{name} has {pixels.shape[1]} x {pixels.shape[0]} pixels. The network inverts "
                f"pictures of {width} x {height}, and takes none below {least[1]} x {least[0]}."
            )
        doubts = []
        if pixels.shape[0] < height or pixels.shape[1] < width:
            doubts.append(f"{name} is smaller than {width} x {height} pixels and is enlarged.")
        shape = pixels.shape[0] * width / (pixels.shape[1] * height)
        if max(shape, 1 / shape) <= 1 + SQUARE:
            return transforms.resize(pixels, height, width), doubts
        doubts.append(
            f"{name} has not the shape of {width} x {height}: only its middle is inverted. Faces "
            "are to be aligned first, see `jaxedit align`."
        )
        return transforms.resize_and_crop(pixels, height, width), doubts

    def invert(self, picture: np.ndarray, steps: int = 0) -> Inverted:
        """Returns the inversion of a picture, uint8 (H, W, 3) at the network's size."""
        image = transforms.to_unit_range(picture)
        found = dict(self._invert(image=image))
        if steps:
            closer = self._task("refine")(
                image=image, codes=found["codes"], residual=found["residual"], steps=steps
            )
            found |= {name: closer[name] for name in ("codes", "image")}
        kept = {name: found[name] for name in self.shapes if name in found}
        return Inverted(kept, picture, self.fingerprint, steps)

    def edit(
        self, inverted: Inverted, directions: Directions, requests: Sequence[Request]
    ) -> np.ndarray:
        """Returns the edited picture, uint8, at the generator's size.

        Directions of styles move the codes as they were before they were compensated, as
        StyleCLIP's do in the published code; so do all others that are asked for beside them.
        """
        arrays = inverted.arrays
        styled = any(directions.by_name[one.name].kind == "styles" for one in requests)
        codes = arrays["encoded" if styled else "codes"]
        change, styles = directions.apply(requests, codes)
        if styles is None:
            made = self._task("edit")(
                codes=codes, residual=arrays["residual"], direction=change, strength=1.0
            )
        else:
            made = self._task("restyle")(
                codes=codes + change, residual=arrays["residual"], moves=styles, strength=1.0
            )
        return self.shown(made["image"])

    def shown(self, made: np.ndarray) -> np.ndarray:
        """Returns what the generator made (s, s, 3) as uint8, cropped to the shape of pictures."""
        height, width = self.size
        rows = len(made) * height // width
        above = (len(made) - rows) // 2
        return levels.of_picture(made[above : above + rows])

    def _task(self, name: str):
        if name not in self._tasks:
            self._tasks[name] = self._invert.beside(name)
        return self._tasks[name]
