"""What a stage starts from: reads the starting values that its (from, to) pairs name.

`run/stages.py` has the forms that a pair may have; where a value goes, and what follows from it,
is `Method.init`'s.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import safetensors
import safetensors.numpy
from flax import traverse_util
from jax.experimental import multihost_utils

from jaxedit.errors import UserError
from jaxedit.method import Method, StartingValue, State, find
from jaxedit.run import sharding
from jaxedit.weights import convert

PyTree = Any


def initial_state(
    method: Method,
    plan: sharding.Plan,
    rng: jax.Array,
    pairs: Iterable[tuple[str, str]] = (),
    earlier: Mapping[str, State] | None = None,
) -> State:
    """Returns the state of a stage before its first step, as the plan's `place_state` takes it.

    Args:
      method: the stage's method, whose own starting values come first.
      plan: where the state will live.
      rng: the key that parameters are drawn with.
      pairs: (from, to) of the stage, see `run/stages.py`.
      earlier: the results of earlier stages, by name.

    Raises:
      PretrainedWeightsMissing: published weights are not here; the message says how to get them.
      UserError: a value cannot be read, has no place in the state, or another shape.
    """
    start = read((*method.starting_values(), *pairs), earlier or {})
    spec = method.spec(1)
    # Runs once: on CPU, optimising hundreds of random draws takes longer than anything it saves.
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    initialise = jax.jit(
        lambda rng, start: method.init(rng, spec, start), compiler_options=options
    )
    return initialise(rng, start)


def read(
    pairs: Iterable[tuple[str, str]], earlier: Mapping[str, State]
) -> tuple[StartingValue, ...]:
    """Returns the values that (from, to) pairs name, in main memory.

    Raises:
      PretrainedWeightsMissing: published weights are not here; the message says how to get them.
      UserError: a pair names nothing that is there; the message says what there is.
    """
    return tuple(
        StartingValue(jax.tree.map(_host, _read(source, earlier)), source, target)
        for source, target in pairs
    )


def as_saved(abstract: State, items: Iterable[str], folder: pathlib.Path) -> dict[str, PyTree]:
    """Returns field -> abstract tree, with what a checkpoint holds beside the fresh state.

    A starting value may stand in `ema` or `extra` where the method itself has nothing; that it is
    there, only the checkpoint knows.

    Args:
      abstract: shapes, dtypes and shardings of the fresh state; what is new gets those of its
        `step`.
      items: the fields wanted.
      folder: the checkpoint, with a folder for each field.
    """

    def merged(here: PyTree, there: PyTree) -> PyTree:
        if here is None:
            sharding = abstract.step.sharding
            return jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), there
            )
        if not isinstance(here, Mapping) or not isinstance(there, Mapping):
            return here
        return {**here, **{key: merged(here.get(key), node) for key, node in there.items()}}

    trees = {name: getattr(abstract, name) for name in items}
    with ocp.StandardCheckpointer() as checkpointer:
        for name in ("ema", "extra"):
            if name in trees and (folder / name).is_dir():
                saved = checkpointer.metadata(folder / name).item_metadata.tree
                trees[name] = merged(trees[name], saved)
    return trees


def _read(source: str, earlier: Mapping[str, State]) -> PyTree:
    origin, _, path = source.rpartition(":")
    kind, _, name = source.partition(":")
    if origin in earlier:
        return _inside(earlier[origin], path, source, f"stage {origin!r}")
    if kind == "weights":
        name, _, path = name.partition(":")
        return _inside(convert.load(name), path, source, f"the weights {name!r}")
    if origin.endswith(".safetensors"):
        return _inside(_read_file(pathlib.Path(origin), source), path, source, origin)
    raise UserError(
        f"The starting value {source!r}: {origin or source!r} is neither an earlier stage "
        f"({', '.join(earlier) or 'there is none'}), nor weights:NAME, nor a .safetensors file."
    )


def _inside(tree: Any, path: str, source: str, where: str) -> PyTree:
    found = find(tree, path)
    if found is None:
        raise UserError(f"The starting value {source!r}: {where} holds no {path!r}.")
    return found


def _read_file(file: pathlib.Path, source: str) -> PyTree:
    if not file.is_file():
        raise UserError(f"The starting value {source!r}: there is no file {file}.")
    try:
        return traverse_util.unflatten_dict(safetensors.numpy.load_file(file), sep="/")
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(
            f"The starting value {source!r}: {file} cannot be read: {error}."
        ) from error


def _host(leaf: Any) -> np.ndarray:
    if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
        return multihost_utils.process_allgather(leaf, tiled=True)
    return np.asarray(leaf)
