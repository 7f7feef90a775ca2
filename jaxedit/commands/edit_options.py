"""What a person says of an edit, checked before anything is read: for `edit` and `jaxedit.edit`."""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import Any

from jaxedit.apply import views
from jaxedit.errors import UserError

_SMALLEST_RESOLUTION = 32


@dataclasses.dataclass(frozen=True)
class Options:
    """What is asked for.

    Attributes:
      prompt: what the edited picture shows.
      negative: what to lead away from.
      caption: what the photo shows, of a start by inversion.
      strength: share of the steps that are walked, above 0 and up to 1; None is the network's.
      guidance: how much the prompt counts, from 0; None is the network's.
      steps: of the sampler; None is the network's.
      start: "noise" or "ddim".
      seed: of the first result.
      variants: how many results, each of the next seed.
      context, resolution: see `apply.views.around`.
      feather: see `apply.views.weights`.
      whole: the network sees the whole photo, and all that it returns is the result.
      region: a word or two for what may change; None where there is a mask, or all may.
      segmenter: the folder of the CLIPSeg that finds the region.
    """

    prompt: str
    negative: str = ""
    caption: str = ""
    strength: float | None = None
    guidance: float | None = None
    steps: int | None = None
    start: str = "noise"
    seed: int = 0
    variants: int = 1
    context: int | None = None
    resolution: int | None = None
    feather: int = views.FEATHER
    whole: bool = False
    region: str | None = None
    segmenter: str | None = None

    def check(self) -> None:
        """Raises UserError where a value says nothing of use; see `edit` for what counts where."""
        for name in ("prompt", "negative", "caption"):
            if not isinstance(getattr(self, name), str):
                raise UserError(f"The {name} is {getattr(self, name)!r}; expected a text.")
        if not self.prompt.strip():
            raise UserError("The prompt is empty: say what the edited picture shows, for example "
                            '--prompt "a red hat on a table".')
        _number("strength", self.strength, 0, 1, above=True)
        _number("guidance", self.guidance, 0, 100)
        for name, least in (("steps", 1), ("variants", 1), ("context", 1), ("feather", 0),
                            ("resolution", _SMALLEST_RESOLUTION)):
            _whole(name, getattr(self, name), least)
        _whole("seed", self.seed, 0, 2**32 - self.variants)
        if self.start not in ("noise", "ddim"):
            raise UserError(f"start is {self.start!r}; expected 'noise' or 'ddim'.")
        self._check_region()

    def _check_region(self) -> None:
        if self.region is None:
            return
        if not isinstance(self.region, str) or not self.region.strip():
            raise UserError(
                'The region is empty: name what may change, for example --region "hat".'
            )
        if self.segmenter is None:
            raise UserError(
                f"--region {self.region!r} needs a segmenter: add --segmenter DIRECTORY, the "
                "folder of a CLIPSeg such as clipseg-rd64-refined. Or paint a mask: --mask."
            )


def _number(name: str, value: Any, low: float, high: float, above: bool = False) -> None:
    if value is None:
        return
    known = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not known or not math.isfinite(value) or not low <= value <= high or above and value == low:
        raise UserError(f"{name} is {value!r}; expected a number {'above' if above else 'from'} "
                        f"{low:g} up to {high:g}.")


def _whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    if value is None and name != "seed":
        return
    known = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not known or value < least or most is not None and value > most:
        upper = "" if most is None else f" to {most}"
        raise UserError(f"{name} is {value!r}; expected a whole number from {least}{upper}.")
