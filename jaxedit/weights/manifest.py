"""The weights that jaxedit can use: public ones of shared networks, each paper's own, and those
that come with the package (`shipped`).

Public ones are named beside the networks that they fill, and found there: those of shared networks
in `models/published.py`, a paper's in `methods/<paper>/published.py`. Each has a tuple `ENTRIES`,
where need be `AS_PUBLISHED`, of what is not converted, and a paper `TRAINED`, those of its own that
may not have come with the package yet.
"""

from __future__ import annotations

import functools
import importlib
import types
from collections.abc import Iterator, Sequence

from jaxedit.errors import PretrainedWeightsMissing, UserError
from jaxedit.host import modules
from jaxedit.host.names import did_you_mean
from jaxedit.weights import shipped
from jaxedit.weights.entry import AsPublished, Bundle, Published, Trained
from jaxedit.weights.shipped import Shipped

# The modules that name weights: one of each paper, and one of what they share.
_PAPERS, _MODULE = "jaxedit.methods", "published"
_SHARED = "jaxedit.models.published"


def get(name: str) -> Published | Bundle | Shipped:
    """Returns the entry called `name`, or the weights of that name that come with the package.

    Raises:
      PretrainedWeightsMissing: this project trains such, and they have not come with it yet.
      UserError: there is none; the message names the nearest and all others.
    """
    if name in entries():
        return entries()[name]
    if ours := shipped.get(name):
        return ours
    if name in trained():
        raise PretrainedWeightsMissing(how_to_train([name]))
    for one in as_published():
        if one.name == name:
            raise UserError(f"{name!r} is used as it is published, at {one.address}: {one.use}.")
    known = [*entries(), *shipped.names()]
    raise UserError(
        f"There are no weights called {name!r}.{did_you_mean(name, known)} "
        f"Known: {', '.join(known)}."
    )


def entries() -> dict[str, Published | Bundle]:
    """Returns name -> entry: the papers' own, then those of shared networks."""
    return _collected()


def as_published() -> list[AsPublished]:
    """Returns what is used as its publisher provides it."""
    return [one for module in _published() for one in getattr(module, "AS_PUBLISHED", ())]


@functools.cache
def trained() -> dict[str, Trained]:
    """Returns name -> what trains such weights, of the papers' own; some may come with jaxedit."""
    return {one.name: one for module in _published() for one in getattr(module, "TRAINED", ())}


def how_to_train(names: Sequence[str]) -> str:
    """Returns the lines that say how to come by weights of `trained` that are not here."""
    lines = []
    for command in dict.fromkeys(trained()[name].command for name in names):
        of = [one for one in (trained()[name] for name in names) if one.command == command]
        listed = ", ".join(f"{one.name!r} ({one.what})" for one in of)
        lines.append(
            f"These weights do not come with this version of jaxedit: {listed}. Their like is "
            f"trained from nothing, without them, by: {command}"
        )
    return ". ".join(lines)


def _published() -> Iterator[types.ModuleType]:
    """Yields the modules that name weights."""
    yield from modules.of_each(_PAPERS, _MODULE)
    yield importlib.import_module(_SHARED)


@functools.cache
def _collected() -> dict[str, Published | Bundle]:
    found: dict[str, Published | Bundle] = {}
    for module in _published():
        for entry in module.ENTRIES:
            _add(entry, found)
    return found


def _add(entry: Published | Bundle, found: dict[str, Published | Bundle]) -> None:
    if entry.name in found:
        raise ValueError(f"Two entries of the manifest are called {entry.name!r}")
    names = [network.name for network in entry.networks]
    if len(set(names)) < len(names) or isinstance(entry, Bundle) and "files" in names:
        raise ValueError(f"{entry.name!r} needs distinct names of networks, none of them 'files'")
    found[entry.name] = entry
