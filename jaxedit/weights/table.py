"""Conversion tables: the publisher's parameter names against ours, checked key by key.

A table maps a published name to an `Entry`: where the array lives in our nested variable dict and
how its axes are turned. One table serves loading, exporting and the golden tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from jaxedit.errors import UserError
from jaxedit.host.names import did_you_mean

# kind -> (torch axes -> our axes, our axes -> torch axes); None leaves the array as it is.
_AXES = {
    "conv": ((2, 3, 1, 0), (3, 2, 0, 1)),  # OIHW <-> HWIO
    "transposed_conv": ((2, 3, 0, 1), (2, 3, 0, 1)),  # IOHW <-> HWIO, not flipped
    "conv1d": ((2, 1, 0), (2, 1, 0)),  # OIW <-> WIO
    # OIDHW <-> DHWIO; transposed ones IODHW <-> DHWOI, not flipped
    "conv3d": ((2, 3, 4, 1, 0), (4, 3, 0, 1, 2)),
    "linear": ((1, 0), (1, 0)),  # (out, in) <-> (in, out)
    "same": (None, None),
}


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a published array goes.

    Attributes:
      path: keys into the nested variable dict, outermost first.
      kind: "conv", "transposed_conv", "conv1d", "conv3d", "linear" or "same" (biases, norms,
        vectors).
      optional: the publisher's file may lack it (and then our variables lack it too).
    """

    path: tuple[str, ...]
    kind: str = "same"
    optional: bool = False


Table = Mapping[str, Entry]


def to_jax(
    table: Table,
    published: Mapping[str, np.ndarray],
    expected: Mapping[str, Any] | None = None,
    what: str = "weights",
) -> dict[str, Any]:
    """Returns the nested variable dict made of `published` arrays.

    Args:
      table: the conversion table.
      published: published name -> array, in the publisher's layout.
      expected: a nested dict of arrays or shape structs; when given, every shape is compared
        and every leaf must be filled.
      what: a name for the error messages, for example the file that was read.

    Raises:
      UserError: a key is missing, unused or of another shape; all such keys are listed.
    """
    problems = []
    missing = [k for k, e in table.items() if k not in published and not e.optional]
    unused = [k for k in published if k not in table]
    if missing:
        problems.append(f"missing {_some(missing)}{did_you_mean(missing[0], unused)}")
    if unused:
        problems.append(f"unused {_some(unused)}")
    result: dict[tuple[str, ...], np.ndarray] = {}
    places = None if expected is None else traverse_util.flatten_dict(expected)
    for name, entry in table.items():
        if name not in published:
            continue
        array = np.asarray(published[name])
        axes = _AXES[entry.kind][0]
        if axes is not None:
            if array.ndim != len(axes):
                problems.append(f"{name!r} has shape {array.shape}, expected {len(axes)} axes")
                continue
            array = np.transpose(array, axes)
        if places is not None:
            target = places.get(entry.path)
            if target is None:
                problems.append(f"{name!r} has no place {'/'.join(entry.path)} in this network")
                continue
            if tuple(target.shape) != array.shape:
                problems.append(
                    f"{name!r} has shape {np.shape(published[name])}, which is {array.shape} here, "
                    f"but this network has {tuple(target.shape)}"
                )
                continue
        result[entry.path] = np.asarray(array, order="C")
    if places is not None and not problems:
        lacking = ["/".join(path) for path in places if path not in result]
        if lacking:
            problems.append(f"not filled: {_some(lacking)}")
    if problems:
        raise UserError(
            f"{what} do not fit this network: " + "; ".join(problems[:8])
            + (f"; and {len(problems) - 8} more" if len(problems) > 8 else "")
            + ". Check that the file belongs to this network and configuration."
        )
    return traverse_util.unflatten_dict(result)


def to_published(table: Table, variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns published name -> array in the publisher's layout: the inverse of `to_jax`."""
    result, arrays = {}, traverse_util.flatten_dict(variables)
    for name, entry in table.items():
        array = arrays.get(entry.path)
        if array is None:
            if entry.optional:
                continue
            raise KeyError(f"No {'/'.join(entry.path)} in the variables, needed for {name!r}")
        axes = _AXES[entry.kind][1]
        array = np.asarray(array)
        array = array if axes is None else np.transpose(array, axes)
        result[name] = np.asarray(array, order="C")  # ascontiguousarray would give scalars an axis
    return result


def _some(names: list[str], limit: int = 4) -> str:
    shown = ", ".join(repr(n) for n in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
