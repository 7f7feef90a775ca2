"""What a command hands to `Method.predict` and gets back, part of the contract (`method.py`).

    Task(
        {"image": Image(), "mask": Mask(), "prompt": Text(tokenize), "strength": Number(0, 1, 0.8),
         "seed": Seed()},
        {"image": Image(), "enlarged": Image(scale=4), "codes": Array((18, None))},
        multiple=8,
    )

`predict` gets arrays with the samples first, of the declared names: pictures (B, H, W, C), label
maps (B, H, W), arrays (B, ...), numbers (B,), and of a text what its `encode` makes of it. All are
traced, so another number or text compiles nothing. A seed becomes the random key.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxedit.data import padding
from jaxedit.errors import UserError


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a value is."""

    def read(self, name: str, value: Any) -> dict[str, np.ndarray]:
        """Returns name -> array for `predict`, without the axis of samples.

        Raises:
          UserError: the value is not of this kind.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Picture(Kind):
    """Anything with pixels.

    Attributes:
      size: a name: all pictures of that name have one height and width, any, and are padded
        together; or (height, width): that size exactly, never padded.
      scale: of an output: how many times as high and wide it is as what `size` names.
    """

    size: str | tuple[int, int] = "picture"
    scale: int = 1

    def read(self, name: str, value: Any) -> dict[str, np.ndarray]:
        array = self.pixels(name, np.asarray(value))
        if not isinstance(self.size, str) and array.shape[:2] != tuple(self.size):
            raise UserError(
                f"{name} has {array.shape[1]} x {array.shape[0]} pixels; the network takes "
                f"{self.size[1]} x {self.size[0]}. Scale or crop it."
            )
        return {name: array}

    def pixels(self, name: str, array: np.ndarray) -> np.ndarray:
        """Returns the array as `predict` gets it; checks all but height and width."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Image(Picture):
    """A picture (H, W, channels), float32, in [-1, 1] unless the task says otherwise."""

    channels: int = 3

    def pixels(self, name: str, array: np.ndarray) -> np.ndarray:
        if array.ndim != 3 or array.shape[-1] != self.channels:
            raise ValueError(f"{name} is {array.shape}, not (H, W, {self.channels})")
        return array.astype(np.float32, copy=False)


@dataclasses.dataclass(frozen=True)
class Mask(Image):
    """A mask (H, W, 1), float32, 1 where something is to be done."""

    channels: int = 1


@dataclasses.dataclass(frozen=True)
class Labels(Picture):
    """A label map (H, W), int32.

    Attributes:
      classes: labels are below it.
      unlabelled: one more value, of pixels without a class; None has none.
    """

    classes: int | None = None
    unlabelled: int | None = None

    def pixels(self, name: str, array: np.ndarray) -> np.ndarray:
        if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f"{name} is {array.dtype} {array.shape}, not whole numbers (H, W)")
        limit = math.inf if self.classes is None else self.classes
        outside = (array < 0) | (array >= limit)
        if self.unlabelled is not None:
            outside &= array != self.unlabelled
        other = np.unique(array[outside])
        if other.size:
            shown = ", ".join(map(str, other[:5])) + (", .." if other.size > 5 else "")
            raise UserError(
                f"{name} holds the labels {shown}; the network knows 0 to {self.classes - 1}."
                if self.classes is not None else f"{name} holds negative labels: {shown}."
            )
        return array.astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Array(Kind):
    """Codes, vectors and other arrays.

    Attributes:
      shape: None stands for any length; () is one number of a result.
      dtype: what it is converted to.
    """

    shape: tuple[int | None, ...]
    dtype: Any = np.float32

    def read(self, name: str, value: Any) -> dict[str, np.ndarray]:
        array = np.asarray(value)
        fits = len(array.shape) == len(self.shape) and all(
            m is None or n == m for n, m in zip(array.shape, self.shape, strict=True)
        )
        if not fits:
            wanted = " x ".join("any" if n is None else str(n) for n in self.shape)
            raise UserError(
                f"{name} has the shape {' x '.join(map(str, array.shape))}; expected {wanted}. "
                "Was it made with another network?"
            )
        return {name: array.astype(self.dtype)}


@dataclasses.dataclass(frozen=True)
class Number(Kind):
    """A finite number, float32.

    Attributes:
      low, high: both included.
      default: what it is where nothing is said; None asks for it.
    """

    low: float = -math.inf
    high: float = math.inf
    default: float | None = None

    def read(self, name: str, value: Any) -> dict[str, np.ndarray]:
        known = isinstance(value, numbers.Real) and math.isfinite(value)
        if not known or not self.low <= value <= self.high:
            limits = [f"from {self.low:g}"] * (self.low > -math.inf)
            limits += [f"up to {self.high:g}"] * (self.high < math.inf)
            raise UserError(f"{name} is {value!r}; expected {' '.join(['a number', *limits])}.")
        return {name: np.float32(value)}


@dataclasses.dataclass(frozen=True)
class Text(Kind):
    """A text, which the host turns into numbers before anything is compiled.

    Attributes:
      encode: texts of a batch -> name -> array, samples first, of one shape for every text. May
        raise UserError.
      default: what it is where nothing is said; None asks for it.
    """

    encode: Callable[[Sequence[str]], Mapping[str, np.ndarray]]
    default: str | None = None

    def read(self, name: str, value: Any) -> dict[str, np.ndarray]:
        if not isinstance(value, str):
            raise ValueError(f"{name} is {value!r}, not a text")
        return {key: np.asarray(array)[0] for key, array in self.encode([value]).items()}


@dataclasses.dataclass(frozen=True)
class Seed(Kind):
    """A whole number below 2^32 for the random key; the applier's own where nothing is said."""

    def read(self, name: str, value: Any) -> dict[str, np.ndarray]:
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not whole or not 0 <= value < 2**32:
            raise UserError(f"{name} is {value!r}; expected a whole number from 0 to {2**32 - 1}.")
        return {name: np.uint32(value)}


@dataclasses.dataclass(frozen=True)
class Task:
    """Inputs and outputs of `Method.predict`.

    Attributes:
      inputs: name -> kind, of what a command gives.
      outputs: name -> kind (a `Picture` or an `Array`), of what it gets back.
      multiple: sides of pictures of any size must be multiples of this many pixels.
      minimum: their smallest side, in pixels.
      margin: pixels that are reflected on every side of pictures of any size, and more at the
        right and bottom: the padding of a publication, a multiple of `multiple`. None pads no more
        than is needed, all around.
      trained_on: side in pixels of the pictures that the network was trained on, where a command
        may cut a larger picture up; None is not known, or the network wants to see the whole.
      finish: (outputs, inputs) -> outputs, on NumPy arrays with the samples first: what the host
        makes of outputs after the padding is cut off, for example 8 bits.
    """

    inputs: Mapping[str, Kind]
    outputs: Mapping[str, Kind]
    multiple: int = 1
    minimum: int = 1
    margin: int | None = None
    trained_on: int | None = None
    finish: Callable[[Mapping, Mapping], Mapping[str, np.ndarray]] | None = None

    def __post_init__(self):
        if self.margin is not None and (self.margin < 0 or self.margin % self.multiple):
            raise ValueError(f"The margin {self.margin} is no multiple of {self.multiple}")
        named = set(self.sized.values())
        for name, kind in self.outputs.items():
            if not isinstance(kind, Picture | Array):
                raise ValueError(f"The output {name} is a {type(kind).__name__}")
            if isinstance(kind, Picture) and isinstance(kind.size, str) and kind.size not in named:
                raise ValueError(f"No input has the size {kind.size!r} of the output {name}")

    @property
    def sized(self) -> dict[str, str]:
        """Input -> the name of its size, for pictures of any size."""
        return {
            name: kind.size for name, kind in self.inputs.items()
            if isinstance(kind, Picture) and isinstance(kind.size, str)
        }

    def read(self, values: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], int | None]:
        """Returns (a batch of one sample for `predict`, the seed if one is given).

        Args:
          values: the inputs; those with a default may be left out.

        Raises:
          UserError: a value that the network cannot take.
          ValueError: another set of inputs, or pictures of one size that differ in size.
        """
        values = {
            name: values[name] if name in values else getattr(kind, "default", None)
            for name, kind in self.inputs.items()
        } | dict(values)
        seeds = {name for name, kind in self.inputs.items() if isinstance(kind, Seed)}
        absent = {name for name, value in values.items() if value is None} - seeds
        if set(values) != set(self.inputs) or absent:
            given = tuple(name for name in values if name not in absent)
            raise ValueError(f"Expected inputs {tuple(self.inputs)}, got {given}")
        sample, seed = {}, None
        for name, kind in self.inputs.items():
            if name not in seeds:
                sample |= kind.read(name, values[name])
            elif values[name] is not None:
                seed = int(kind.read(name, values[name])[name])
        return {name: array[None] for name, array in sample.items()}, seed

    def padded(self, height: int, width: int, step: int = 1) -> tuple[int, int]:
        """Returns the padded size of a picture; `step` as in `padding.bucket`."""
        return self._frame((height, width), step).padded

    def _frame(self, size: padding.Sides, step: int) -> padding.Frame:
        margin = self.margin or 0
        minimum = max(1, self.minimum - 2 * margin)
        filled = tuple(
            padding.bucket(n, multiple=self.multiple, minimum=minimum, step=step) for n in size
        )
        if self.margin is None:
            return padding.centred(size, filled)
        return padding.with_margin(size, filled, margin)

    def pad(
        self, batch: Mapping[str, Any], step: int = 1
    ) -> tuple[dict[str, Any], dict[str, padding.Frame]]:
        """Returns (the batch with its pictures padded, name of a size -> frame).

        Args:
          batch: arrays, samples first; what is no picture of any size comes back as it is.
          step: as in `padding.bucket`.

        Raises:
          ValueError: pictures of one size differ in size.
        """
        frames, result = {}, dict(batch)
        for name, size in self.sized.items():
            if name not in batch:
                continue
            sides = tuple(batch[name].shape[1:3])
            frame = frames.setdefault(size, self._frame(sides, step))
            if frame.size != sides:
                raise ValueError(f"The inputs differ in size: {sorted({frame.size, sides})}")
            result[name] = frame.pad(batch[name])
        return result, frames

    def cut(
        self, outputs: Mapping[str, np.ndarray], frames: Mapping[str, padding.Frame]
    ) -> dict[str, np.ndarray]:
        """Returns the outputs, samples first, without the padding; others stay as they are."""
        result = dict(outputs)
        for name, kind in self.outputs.items():
            if isinstance(kind, Picture) and isinstance(kind.size, str) and name in outputs:
                result[name] = frames[kind.size].cut(outputs[name], kind.scale)
        return result

    def finished(
        self, outputs: Mapping[str, np.ndarray], frames: Mapping[str, padding.Frame],
        inputs: Mapping[str, Any],
    ) -> dict[str, np.ndarray]:
        """Returns what commands hand over and evaluations measure: the outputs cut and finished.

        Args:
          outputs: of `predict`, samples first.
          frames: of `pad`.
          inputs: the batch before it was padded.
        """
        result = self.cut(outputs, frames)
        return result if self.finish is None else {**result, **self.finish(result, inputs)}
