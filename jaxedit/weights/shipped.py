"""Weights that this project trained and that come with the package: `jaxedit/shipped/`.

Each is a pair: `NAME.safetensors`, whose keys are the paths of the variables joined by "/", stored
as float16 where that can hold the numbers; and its card `NAME.json`:

  what        one line on what it is for
  licence     of the weights
  data        [{"name": ..., "licence": ...}, ...]: what it was trained on
  recipe      the command that trained it
  figures     {metric: number, ...} as measured, and on what
  sha256, bytes   of the safetensors file, written by `write`
  config      the configuration of the stage that trained it, where a task of its method is to be
              applied by name; the keys then begin with fields of `method.State`: params, stats ...
  start       [[from, to], ...] as in a stage of a run: what the state holds of other weights of the
              package, such as ["weights:NAME:params/encoder", "frozen/encoder/params"]
  stands_on   {NAME: sha256} of those others, written by `write`
  default_for  names of tasks, such as ["inpaint"], whose verbs use these weights where a person
              names none; at most one file for each task

and whatever else the paper wants to know when it loads them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from jaxedit.errors import UserError
from jaxedit.host import json_text
from jaxedit.host.atomic import atomic_file
from jaxedit.host.names import check_choice

SUFFIX = ".safetensors"
REQUIRED = ("what", "licence", "data", "recipe", "figures")


@dataclasses.dataclass(frozen=True)
class Shipped:
    """Weights in the package.

    Attributes:
      name: what the user types.
      card: what `NAME.json` holds.
      file: the safetensors file.
    """

    name: str
    card: Mapping[str, Any]
    file: Traversable

    @property
    def what(self) -> str:
        """One line on what they are for."""
        return self.card["what"]

    @property
    def licence(self) -> str:
        """The licence of the weights, and of the data behind them."""
        data = ", ".join(f"{data['name']} ({data['licence']})" for data in self.card["data"])
        return f"{self.card['licence']}; trained on {data}"


def folder() -> Traversable:
    """Returns the folder of the package that holds the weights; it need not exist."""
    return resources.files("jaxedit").joinpath("shipped")


def names() -> list[str]:
    """Returns the names of all weights that come with the package, sorted."""
    place = folder()
    if not place.is_dir():
        return []
    files = {entry.name for entry in place.iterdir()}
    stems = (name.removesuffix(".safetensors") for name in files if name.endswith(".safetensors"))
    return sorted(stem for stem in stems if f"{stem}.json" in files)


def get(name: str) -> Shipped | None:
    """Returns the weights called `name`, or None where none of that name come with the package.

    Raises:
      UserError: their card is damaged.
    """
    if name not in names():
        return None
    return Shipped(name, _card(name, folder()), folder().joinpath(f"{name}.safetensors"))


def at(path: str | Path) -> Shipped:
    """Returns weights of one's own, in the form of those of the package; their name is the path.

    Args:
      path: what `write` has returned; the card lies beside it.

    Raises:
      UserError: there are none, or their card is damaged.
    """
    path = Path(path)
    for file in (path, path.with_suffix(".json")):
        if not file.is_file():
            raise UserError(
                f"{file} does not exist. NAME.safetensors and its card NAME.json belong together: "
                "experiments/ship.py writes both from a run."
            )
    return Shipped(str(path), _card(str(path), path.parent), path)


def chosen(what: str, name: str, fits: Callable[[Shipped], bool], otherwise: str) -> Shipped:
    """Returns weights of the package by name, or weights of one's own by path, that fit a purpose.

    Args:
      what: what they are to be, begins a message: "The judge".
      name: of those of the package; of one's own, the path of NAME.safetensors, see `at`.
      fits: whether weights are of that kind, by their card.
      otherwise: what those of one's own are not, and what to do; ends a message.

    Raises:
      UserError: there are none, or they are of another kind.
    """
    if not name.endswith(SUFFIX):
        check_choice(what, name, [one for one in names() if fits(get(one))])
        return get(name)
    weights = at(name)
    if not fits(weights):
        raise UserError(f"{what} {name} {otherwise}")
    return weights


def _card(name: str, place: Traversable) -> dict[str, Any]:
    """Returns the card of weights, `name` as the user types it, in a folder."""
    try:
        card = json_text.loads(place.joinpath(f"{Path(name).stem}.json").read_bytes())
        lacking = [key for key in (*REQUIRED, "sha256", "bytes") if key not in card]
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(name, f"its card cannot be read: {error}") from error
    if lacking:
        raise _damaged(name, f"its card lacks {', '.join(lacking)}")
    return card


def default(task: str) -> str | None:
    """Returns the weights that a verb uses where a person names none; None: none come with it.

    Raises:
      UserError: a card is damaged.
    """
    return next((name for name in names() if task in get(name).card.get("default_for", ())), None)


def load(weights: Shipped) -> dict[str, Any]:
    """Returns the nested variables, float16 as float32.

    Raises:
      UserError: the file is not the one that its card describes.
    """
    from flax import traverse_util  # slow to import: not for a mistyped path

    try:
        data = weights.file.read_bytes()
    except OSError as error:
        raise _damaged(weights.name, str(error)) from error
    if hashlib.sha256(data).hexdigest() != weights.card["sha256"]:
        raise _damaged(weights.name, "the SHA-256 of its file is not the one on its card")
    try:
        arrays = safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise _damaged(weights.name, str(error)) from error
    arrays = {
        key: array.astype(np.float32) if array.dtype == np.float16 else array
        for key, array in arrays.items()
    }
    return traverse_util.unflatten_dict(arrays, sep="/")


def inside(path: str) -> str:
    """Returns where weights hold what a state of their run has at `path`, "ema/NETWORK" or so.

    Averages have taken the places of the parameters that they average.
    """
    field, slash, rest = path.partition("/")
    return f"{'params' if field == 'ema' else field}{slash}{rest}"


def start_of(weights: Shipped) -> tuple[tuple[str, str], ...]:
    """Returns the (from, to) pairs of what a state holds of other weights of the package.

    Raises:
      UserError: those are not here, or are not what these weights were trained with.
    """
    for name, digest in weights.card.get("stands_on", {}).items():
        other = get(name)
        if other is None or other.card["sha256"] != digest:
            found = "are not there" if other is None else "have been replaced since"
            raise _damaged(weights.name, f"they stand on the weights {name!r}, which {found}")
    return tuple((source, target) for source, target in weights.card.get("start", ()))


def stored(array: Any) -> np.ndarray:
    """Returns an array as it is stored: floats as float16, or float32 where that is too small."""
    array = np.asarray(array)
    if array.dtype.kind in "iub":
        return array
    array = array.astype(np.float32)
    fits = np.abs(array).max(initial=0) <= np.finfo(np.float16).max
    return array.astype(np.float16) if fits else array


def write(
    place: str | Path, name: str, variables: Mapping[str, Any], card: Mapping[str, Any]
) -> Path:
    """Writes weights and card so that they can come with the package; returns the weights' path.

    Args:
      place: the folder, `jaxedit/shipped` of a checkout.
      name: lower-case letters, digits and hyphens.
      variables: nested dict of arrays. Floats become float16, but an array with a number beyond
        float16's range stays float32; all else is kept.
      card: the keys of `REQUIRED`, and more where the paper wants it.

    Raises:
      UserError: the card lacks something or starts from weights that are not in the package, a
        number is not finite, or a file cannot be written.
    """
    from flax import traverse_util  # slow to import: not for a mistyped path

    lacking = [key for key in REQUIRED if key not in card]
    if lacking:
        raise UserError(f"The card of {name!r} lacks {', '.join(lacking)}.")
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise UserError(f"{name!r}: use lower-case letters, digits and hyphens for a name.")
    arrays = {}
    for key, array in traverse_util.flatten_dict(variables, sep="/").items():
        if not np.isfinite(array).all():
            raise UserError(f"{name!r}: {key} holds numbers that are not finite.")
        arrays[key] = stored(array)
    others = dict.fromkeys(source.split(":")[1] for source, _ in card.get("start", ()))
    if lost := [other for other in others if get(other) is None]:
        raise UserError(f"The card of {name!r} starts from {', '.join(lost)}, not in the package.")
    data = safetensors.numpy.save(arrays, {"name": name})
    facts = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    if others:
        facts["stands_on"] = {other: get(other).card["sha256"] for other in others}
    target = Path(place) / f"{name}.safetensors"
    with atomic_file(target) as temporary:
        temporary.write_bytes(data)
    with atomic_file(target.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps({**card, **facts}, indent=1) + "\n", encoding="utf-8")
    return target


def _damaged(name: str, why: str) -> UserError:
    if name.endswith(SUFFIX):
        return UserError(f"{name} is damaged: {why}. Write it and its card anew.")
    return UserError(f"The weights {name!r} of this package are damaged: {why}. Reinstall jaxedit.")
