"""Named directions of edits: the file that holds them, and what a person may ask of them.

A file is a safetensors file. Its arrays are

    NAME           (n, W) of a linear direction, (W,) of a component, (C,) of styles
    mean/NAME      (W,) of a component: the mean of the generator's codes
    styleclip/...  what directions of texts are made of, where that was measured (`styleclip`)
    edits/...      the judged directions of all attributes, for evaluations

and its metadata `directions` is a JSON list, in order, of

    name, kind     "linear": codes + strength x array, as InterFaceGAN and SeFa move them;
                   "component": GANSpace's, along a principal component;
                   "styles": StyleCLIP's global direction, strength x array added to styles
    unit           what strength 1 is, in words
    effects        attribute -> by how much strength 1 changes it, as a judge saw it; may be empty
    deviation      of a component: the deviation of the generator's codes along it

A request is `NAME=STRENGTH`; `NAME@FIRST-END=STRENGTH` moves the codes of some layers alone (the
end not included), and `NAME=toTARGET` brings a component's coordinate to so many deviations, as
GANSpace's published edits are written.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from jaxedit.errors import UserError
from jaxedit.host import json_text
from jaxedit.host.atomic import atomic_file
from jaxedit.host.names import check_choice
from jaxedit.methods.sdic import editing

FORMAT = "jaxedit directions 1"
MORE = ("styleclip/", "edits/")  # how arrays that are no directions begin
KINDS = {"linear": 2, "component": 1, "styles": 1}  # kind -> axes of its array
FILE = "directions.safetensors"  # of the artefact of a host stage
_STRONGEST = 1e4  # far beyond what leaves a picture
_REQUEST = re.compile(r"(?P<name>[^=@]+)(@(?P<first>\d+)-(?P<end>\d+))?=(?P<to>to)?(?P<number>.*)")


@dataclasses.dataclass(frozen=True)
class Direction:
    """One direction; see the module."""

    name: str
    kind: str
    array: np.ndarray
    unit: str
    effects: Mapping[str, float] = dataclasses.field(default_factory=dict)
    mean: np.ndarray | None = None
    deviation: float = 1.0

    def moved(self, codes: np.ndarray, request: Request) -> np.ndarray:
        """Returns by how much codes (n, W) move."""
        first, end = request.layers or (0, len(codes))
        if self.kind == "linear":
            change = request.strength * self.array
        elif request.absolute:
            parts = editing.Components(
                self.mean[None], self.array[None, None], np.asarray([self.deviation])
            )
            moved = editing.ganspace(codes[None], parts, 0, (first, end), request.strength)
            return np.asarray(moved)[0] - codes
        else:
            step = request.strength * self.deviation * self.array
            change = np.broadcast_to(step, codes.shape)
        chosen = (np.arange(len(codes)) >= first) & (np.arange(len(codes)) < end)
        return (chosen[:, None] * change).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Request:
    """What a person asks for: a direction by name, how far, and in which layers (None: all)."""

    name: str
    strength: float
    layers: tuple[int, int] | None = None
    absolute: bool = False

    def at(self, strength: float) -> Request:
        """Returns the same request with another strength."""
        return dataclasses.replace(self, strength=strength)


@dataclasses.dataclass(frozen=True)
class Directions:
    """What a file holds.

    Attributes:
      by_name: the directions, in order.
      codes: (n, W), the shape of the codes of the generator that they were found on.
      generator: its fingerprint, see `inversion_file.fingerprint`.
      more: further arrays, by name.
    """

    by_name: Mapping[str, Direction]
    codes: tuple[int, int]
    generator: str
    more: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def request(self, text: str) -> Request:
        """Returns what `NAME=STRENGTH` asks for.

        Raises:
          UserError: it is written otherwise, there is no such direction, or no such layers.
        """
        found = _REQUEST.fullmatch(text.strip())
        if found is None:
            raise UserError(f"The edit {text!r} is not NAME=STRENGTH, such as smile=+2.")
        name = found["name"].strip()
        check_choice("The direction", name, list(self.by_name))
        direction, count = self.by_name[name], self.codes[0]
        layers = None
        if found["first"]:
            layers = int(found["first"]), int(found["end"])
            if direction.kind == "styles" or not 0 <= layers[0] < layers[1] <= count:
                raise UserError(
                    f"The edit {text!r} names layers {layers[0]} to {layers[1]}. "
                    + ("Directions of styles have none." if direction.kind == "styles" else
                       f"There are {count}, from 0; the end is not included.")
                )
        if found["to"] and direction.kind != "component":
            raise UserError(
                f"The edit {text!r} asks for a target, which only principal components have; "
                f"{name!r} is {direction.kind}. Write {name}=STRENGTH."
            )
        return Request(name, number(found["number"], text), layers, bool(found["to"]))

    def apply(
        self, requests: Sequence[Request], codes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns by how much codes (n, W) move, and styles (C,); None where no styles do."""
        change, styles = np.zeros(codes.shape, np.float32), None
        for request in requests:
            direction = self.by_name[request.name]
            if direction.kind == "styles":
                styles = (0 if styles is None else styles) + request.strength * direction.array
            else:
                change += direction.moved(codes, request)
        return change, styles


def number(text: str, whole: str) -> float:
    """Returns the strength that a text says.

    Raises:
      UserError: it is no finite number; the message quotes `whole`.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _STRONGEST:
        raise UserError(
            f"The edit {whole!r}: {text.strip()!r} is no number, such as +2 or -1.5, of at most "
            f"{_STRONGEST:g}."
        )
    return value


def write(path: pathlib.Path, directions: Directions) -> None:
    """Writes a file, whole or not at all."""
    arrays, entries = dict(directions.more), []
    for direction in directions.by_name.values():
        arrays[direction.name] = np.ascontiguousarray(direction.array, np.float32)
        if direction.mean is not None:
            arrays[f"mean/{direction.name}"] = np.ascontiguousarray(direction.mean, np.float32)
        entries.append({
            "name": direction.name, "kind": direction.kind, "unit": direction.unit,
            "effects": dict(direction.effects), "deviation": float(direction.deviation),
        })
    metadata = {
        "format": FORMAT, "directions": json.dumps(entries), "codes": json.dumps(directions.codes),
        "generator": directions.generator,
    }
    with atomic_file(path) as temporary:
        temporary.write_bytes(safetensors.numpy.save(arrays, metadata))


def read(path: pathlib.Path, codes: tuple[int, int], style_widths: Sequence[int]) -> Directions:
    """Returns the directions in a file.

    Args:
      path: of the file.
      codes: (n, W) of the generator that they are to be used with.
      style_widths: channels of its styles.

    Raises:
      UserError: there is no such file, it holds something else, or directions of another
        generator.
    """
    if not path.is_file():
        raise UserError(f"There is no file {path}. `jaxedit directions` makes one.")
    try:
        with safetensors.safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if metadata.get("format") != FORMAT:
            raise UserError(f"{path} holds no directions: `jaxedit directions` makes such files.")
        entries = json_text.loads(metadata["directions"])
        found = Directions(
            {entry["name"]: _direction(entry, arrays) for entry in entries},
            tuple(json_text.loads(metadata["codes"])), metadata.get("generator", ""),
            {key: array for key, array in arrays.items() if key.startswith(MORE)},
        )
    except (
        safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError
    ) as error:  # AttributeError: a kind of numbers that NumPy has not
        raise UserError(f"The directions in {path} are damaged: {error}.") from error
    if found.codes != tuple(codes):
        raise UserError(
            f"The directions in {path} were found on another one: its codes are {found.codes}, and "
            f"this generator's are {tuple(codes)}. `jaxedit directions` finds those of this."
        )
    wanted = {
        "linear": tuple(codes), "component": tuple(codes[1:]), "styles": (sum(style_widths),)
    }
    for name, direction in found.by_name.items():
        if direction.array.shape != wanted[direction.kind]:
            size = " x ".join(map(str, direction.array.shape))
            needed = " x ".join(map(str, wanted[direction.kind]))
            raise UserError(
                f"The direction {name!r} in {path} has {size} numbers; this generator needs "
                f"{needed}. It was found on another one: `jaxedit directions` finds those of this."
            )
    return found


def _direction(entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Direction:
    name, kind = entry["name"], entry["kind"]
    array, deviation = arrays[name], float(entry.get("deviation", 1))
    if kind not in KINDS or array.ndim != KINDS[kind] or not np.isfinite(array).all():
        raise ValueError(f"{name!r} is no direction of kind {kind!r}")
    mean = arrays[f"mean/{name}"] if kind == "component" else None
    if mean is not None and (mean.shape != array.shape or not np.isfinite(mean).all()):
        raise ValueError(f"the mean of {name!r} does not belong to it")
    if not 0 < deviation < math.inf:
        raise ValueError(f"the deviation of {name!r} is {deviation}")
    return Direction(
        name, kind, array, str(entry["unit"]), dict(entry.get("effects", {})), mean, deviation
    )
