"""What stages are made of and hand to each other: `State`, `StartingValue`, `Artifact`.

What a stage starts from is one idea, `StartingValue`: arrays of an earlier stage, of published
weights, of a file or of an artefact that take their place in the new state, after the parameters
are drawn and before optimizers and averages follow from them.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from flax import traverse_util

from jaxedit.errors import UserError
from jaxedit.host import json_text
from jaxedit.host.names import did_you_mean

PyTree = Any


@flax.struct.dataclass
class State:
    """Everything that training changes, and the frozen networks it leans on: one pytree.

    Attributes:
      step: int32 scalar, the number of finished training steps.
      params: network name -> parameters, trained.
      stats: network name -> variables that forward passes change (batch or spectral statistics).
      opt: optimizer name -> optax state.
      ema: network name -> averaged parameters; empty where a method keeps none.
      frozen: network name -> pretrained variables, never trained; saved once per run.
      extra: whatever else a method carries from step to step.
    """

    step: jax.Array
    params: dict[str, PyTree] = dataclasses.field(default_factory=dict)
    stats: dict[str, PyTree] = dataclasses.field(default_factory=dict)
    opt: dict[str, PyTree] = dataclasses.field(default_factory=dict)
    ema: dict[str, PyTree] = dataclasses.field(default_factory=dict)
    frozen: dict[str, PyTree] = dataclasses.field(default_factory=dict)
    extra: dict[str, PyTree] = dataclasses.field(default_factory=dict)


@flax.struct.dataclass
class StartingValue:
    """Arrays that a stage starts from, and where in its state they belong.

    Attributes:
      tree: an array, or a nested dict of them.
      source: where they come from, as the configuration writes it; for messages and for
        `Method.fit`.
      target: slash-separated path in the new state, of which the first part is a field of `State`.
    """

    tree: PyTree
    source: str = flax.struct.field(pytree_node=False)
    target: str = flax.struct.field(pytree_node=False)


@dataclasses.dataclass(frozen=True)
class Artifact:
    """What a host stage has made: files that nothing changes any more. Host side.

    Attributes:
      stage: the stage that made it.
      folder: where its files are.
      facts: what `Method.merge` has to say about it.
    """

    stage: str
    folder: pathlib.Path
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def path(self, name: str) -> pathlib.Path:
        """Returns where a file of the artefact is.

        Raises:
          UserError: there is no such file; the message names the nearest.
        """
        path = self.folder / name
        if not path.is_file():
            known = sorted(
                p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file()
            )
            raise UserError(
                f"The artefact of stage {self.stage!r} has no file {name!r}."
                + (did_you_mean(name, known) or f" It has: {', '.join(known[:12])}.")
            )
        return path

    def json(self, name: str) -> Any:
        """Returns the content of a JSON file."""
        return json_text.loads(self.path(name).read_bytes())

    def arrays(self, name: str) -> PyTree:
        """Returns the arrays of a file, see `read_arrays`."""
        return read_arrays(self.path(name))


def among(artifacts: Mapping[str, Artifact], stage: str, asked: str) -> Artifact:
    """Returns the artefact of `stage`.

    Args:
      artifacts: stage -> artefact, of the earlier stages.
      stage: whose artefact is wanted.
      asked: how the configuration asks for it, for the message.

    Raises:
      UserError: no earlier stage has made it.
    """
    if stage not in artifacts:
        raise UserError(
            f"{asked}: no earlier stage has built an artefact {stage!r}. There are: "
            f"{', '.join(artifacts) or 'none'}.{did_you_mean(stage, artifacts)}"
        )
    return artifacts[stage]


def read_arrays(file: pathlib.Path) -> PyTree:
    """Returns a nested dict of the arrays of a .safetensors or .npz file, the array of a .npy one.

    Names inside of a file are slash-separated paths.

    Raises:
      UserError: it is absent, of another kind or damaged.
    """
    kinds = {
        ".safetensors": safetensors.numpy.load_file,
        ".npz": lambda file: dict(np.load(file, allow_pickle=False)),
        ".npy": lambda file: np.load(file, allow_pickle=False),
    }
    if not file.is_file():
        raise UserError(f"There is no file {file}.")
    if file.suffix not in kinds:
        raise UserError(f"{file} holds no arrays: expected {', '.join(kinds)}.")
    try:
        found = kinds[file.suffix](file)
    except (safetensors.SafetensorError, OSError, ValueError, EOFError) as error:
        raise UserError(f"{file} cannot be read: {error}.") from error
    return traverse_util.unflatten_dict(found, sep="/") if isinstance(found, dict) else found


def find(tree: PyTree, path: str) -> PyTree | None:
    """Returns what a state, or a nested dict, holds at a slash-separated path, None for nothing."""
    node = tree
    for key in filter(None, path.split("/")):
        node = node.get(key) if isinstance(node, Mapping) else getattr(node, key, None)
        if node is None:
            return None
    return node


def put(
    state: State,
    value: StartingValue,
    fit: Callable[[StartingValue, PyTree | None], PyTree],
    may_be_new: Sequence[str] = ("ema", "frozen", "extra"),
) -> State:
    """Returns `state` with a starting value in its place. Pure.

    What it replaces must have the same keys and shapes, and lends its dtypes.

    Args:
      state: the fresh state.
      value: what to put, and where.
      fit: `Method.fit`.
      may_be_new: the fields in which a value may stand where nothing was.

    Raises:
      UserError: it has no place there, or another shape; the message names keys and shapes.
    """
    field, *keys = value.target.split("/")
    fresh = find(state, value.target)
    new = fit(value, fresh)
    if fresh is None:
        if field not in may_be_new or not keys:
            known = _known(state, value.target)
            raise UserError(
                f"The starting value {value.source!r} -> {value.target!r}: the new state has no "
                f"such place. There are: {', '.join(known)}." + did_you_mean(value.target, known)
            )
    else:
        _check_same(new, fresh, value)
        new = jax.tree.map(lambda x, old: jnp.asarray(x, old.dtype), new, fresh)

    def replaced(node: PyTree, keys: Sequence[str]) -> PyTree:
        if not keys:
            return new
        return {**node, keys[0]: replaced(node.get(keys[0], {}), keys[1:])}

    return state.replace(**{field: replaced(getattr(state, field), keys)})


def _known(state: State, path: str) -> list[str]:
    """Returns the paths beside the first step of `path` that leads nowhere."""
    inside, (first, *rest) = "", path.split("/")
    while isinstance(find(state, inside + first), Mapping) and rest:
        inside, (first, *rest) = f"{inside}{first}/", rest
    if not inside:
        return [field.name for field in dataclasses.fields(state)]
    return [inside + key for key in find(state, inside)]


def _check_same(new: PyTree, fresh: PyTree, value: StartingValue) -> None:
    there, here = (
        {jax.tree_util.keystr(key, simple=True, separator="/"): tuple(leaf.shape)
         for key, leaf in jax.tree.leaves_with_path(tree)}
        for tree in (new, fresh)
    )
    for key in sorted(there.keys() | here.keys()):
        if there.get(key) != here.get(key):
            raise UserError(
                f"The starting value {value.source!r} -> {value.target!r} does not fit at "
                f"{key or value.target!r}: shape {there.get(key, 'absent')} there, "
                f"{here.get(key, 'absent')} here."
            )
