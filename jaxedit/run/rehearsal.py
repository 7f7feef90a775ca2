"""What later stages start from, gone through in shapes alone before the first stage trains.

Earlier stages are traced, files give their headers, so that a wrong path or shape shows in seconds
and not after hours. What cannot be known yet is left to the stage's own start: artefacts that are
not made, methods that may need one, and values of stages that have lost their origins.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import jax
import numpy as np
import safetensors
from flax import traverse_util

from jaxedit import method as method_lib
from jaxedit.errors import UserError
from jaxedit.run import starting
from jaxedit.run.stages import Stage
from jaxedit.state import StartingValue, State, find
from jaxedit.weights import catalogue, manifest, shipped

PyTree = Any


def check(every: Sequence[Stage], begun: Callable[[Stage], bool]) -> None:
    """Finds starting values of later stages that will have no place, or another shape.

    Args:
      every: the stages, of which `starting.check` finds nothing wrong.
      begun: whether a stage has results, and so no need of what it started from.

    Raises:
      UserError: the message names stage, value and shapes.
    """
    first_build = next((n for n, stage in enumerate(every) if stage.build), len(every))
    run = _Rehearsal(every[:first_build], begun)
    for stage in every[1:first_build]:
        if stage.start and not begun(stage):
            run.result(stage.name)
    for stage in every[first_build:]:
        names = [one.name for one in every]
        for source, _ in () if begun(stage) else stage.start:
            kind, name, path = starting.parse(source, names)
            if kind in ("file", "weights"):
                _inside(_outline(kind, name), source, path, stage)


class _Rehearsal:
    """The stages of a run up to its first host stage, traced where they are asked for."""

    def __init__(self, stages: Sequence[Stage], begun: Callable[[Stage], bool]):
        self._stages = {stage.name: stage for stage in stages}
        self._begun = begun
        self._results: dict[str, tuple[State, bool]] = {}

    def result(self, name: str) -> tuple[State, bool]:
        """Returns (the shapes of a stage's state, whether nothing of it is left open)."""
        if name not in self._results:
            self._results[name] = self._trace(self._stages[name])
        return self._results[name]

    def _trace(self, stage: Stage) -> tuple[State, bool]:
        method = method_lib.create(stage.config)
        pairs = (*method.starting_values(), *stage.start)
        found = [self._value(stage, *pair) for pair in pairs]
        values = tuple(value for value in found if value is not None)
        spec = method.spec(1)
        function = lambda rng, start: method.init(rng, spec, start)
        try:
            state = jax.eval_shape(function, jax.random.key(0), values)
        except UserError as error:
            raise UserError(f"Stage {stage.name!r}: {error}") from error
        return state, len(values) == len(pairs)

    def _value(self, stage: Stage, source: str, target: str) -> StartingValue | None:
        kind, name, path = starting.parse(source, list(self._stages))
        complete = True
        try:
            if kind == "stage":
                tree, complete = self.result(name)
            elif kind in ("file", "weights"):
                tree = _outline(kind, name)
            else:
                return None
        except UserError:
            if kind != "stage" and self._begun(stage):
                return None  # what it started from need not be there any more
            raise
        if not complete and path and find(tree, path) is None:
            return None
        return StartingValue(_inside(tree, source, path, stage), source, target)


def _outline(kind: str, name: str) -> PyTree:
    """Returns what a file, or weights, hold, in shapes alone."""
    if kind == "file":
        return read_header(pathlib.Path(name))
    entry = manifest.get(name)
    if not isinstance(entry, shipped.Shipped):
        return read_header(catalogue.path_of(name))
    with resources.as_file(entry.file) as file:
        return read_header(file)


def read_header(file: pathlib.Path) -> PyTree:
    """Returns what `state.read_arrays` does of a .safetensors file, in shapes alone.

    Their dtypes are float32, int32 or bool, whatever the precision.

    Raises:
      UserError: it is absent or damaged.
    """
    kinds = {"I": np.int32, "U": np.int32, "B": np.bool_}
    try:
        with safetensors.safe_open(file, framework="np") as stream:
            slices = {key: stream.get_slice(key) for key in stream.keys()}
            found = {
                key: jax.ShapeDtypeStruct(
                    tuple(one.get_shape()),
                    np.float32 if (kind := one.get_dtype()) == "BF16" else kinds.get(
                        kind[0], np.float32
                    ),
                )
                for key, one in slices.items()
            }
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}.") from error
    return traverse_util.unflatten_dict(found, sep="/")


def _inside(tree: PyTree, source: str, path: str, stage: Stage) -> PyTree:
    found = find(tree, path) if path else tree
    if found is None:
        raise UserError(f"Stage {stage.name!r} starts from {source!r}: it holds no {path!r}.")
    return found
