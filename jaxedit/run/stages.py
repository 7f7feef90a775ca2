"""Stages as data: pre-training then fine-tuning, several networks in turn, all the same loop.

`config.stages` is a tuple of {"name", "overrides", "carry"}; an empty one means a single stage
named "train". `overrides` is a nested dict laid over the base configuration. `carry` lists
(from, to) pairs: `from` is `STAGE:PATH` (an earlier stage's result) or `FILE.safetensors:PATH`,
`to` a path in the new state; paths are slash-separated and start with a field of `State`.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxedit import config as config_lib
from jaxedit.errors import UserError
from jaxedit.host.names import did_you_mean
from jaxedit.method import State

PyTree = Any


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
      name: the folder of its checkpoints.
      config: the base configuration with the stage's overrides, locked.
      carry: (from, to) pairs, see the module docstring.
    """

    name: str
    config: config_lib.ConfigDict
    carry: tuple[tuple[str, str], ...] = ()


def read(config: config_lib.ConfigDict) -> list[Stage]:
    """Returns the stages of a run, in order.

    Raises:
      UserError: two stages share a name, or an override names an unknown key.
    """
    if not config.stages:
        return [Stage("train", config)]
    stages = []
    for entry in config.stages:
        name = entry["name"]
        if name in (s.name for s in stages):
            raise UserError(f"config.stages names {name!r} twice.")
        stage_config = config.copy_and_resolve_references()
        known = config_lib.flatten(config)
        for key, value in config_lib.flatten(entry.get("overrides", {})).items():
            if key not in known:
                raise UserError(
                    f"Stage {name!r} overrides the unknown key {key!r}."
                    + did_you_mean(key, known)
                )
            with stage_config.unlocked(), stage_config.ignore_type():
                node = stage_config
                *groups, last = key.split(".")
                for group in groups:
                    node = node[group]
                node[last] = value
        carry = tuple((source, target) for source, target in entry.get("carry", ()))
        stages.append(Stage(name, stage_config.lock(), carry))
    return stages


def carry_over(
    state: State, carry: tuple[tuple[str, str], ...], earlier: Mapping[str, State]
) -> State:
    """Returns `state` with the sub-trees that `carry` names replaced.

    Raises:
      UserError: a path does not exist, or a shape differs; the message names it.
    """
    for source, target in carry:
        origin, _, path = source.rpartition(":")
        if origin in earlier:
            tree = _lookup(earlier[origin], path, f"stage {origin!r}")
        elif origin.endswith(".safetensors"):
            tree = _read_file(pathlib.Path(origin), path)
        else:
            raise UserError(
                f"carry names {source!r}: {origin!r} is neither an earlier stage "
                f"({', '.join(earlier) or 'there is none'}) nor a .safetensors file."
            )
        old = _lookup(state, target, "the new state")
        _check_same(tree, old, source, target)
        state = _replace(state, target, jax.tree.map(_like, tree, old))
    return state


def _like(new: Any, old: Any) -> jax.Array:
    return jax.device_put(np.asarray(new, old.dtype), getattr(old, "sharding", None))


def _lookup(state: State, path: str, where: str) -> PyTree:
    field, *keys = path.split("/")
    node = getattr(state, field, None)
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
        if node is None:
            break
    if node is None:
        raise UserError(f"carry names {path!r}, which does not exist in {where}.")
    return node


def _replace(state: State, path: str, value: PyTree) -> State:
    field, *keys = path.split("/")

    def replaced(node, keys):
        return {**node, keys[0]: replaced(node[keys[0]], keys[1:])} if keys else value

    return state.replace(**{field: replaced(getattr(state, field), keys)})


def _read_file(file: pathlib.Path, path: str) -> PyTree:
    from flax import traverse_util
    from safetensors.numpy import load_file

    if not file.is_file():
        raise UserError(f"carry names {file}, which does not exist.")
    prefix = path + "/" if path else ""
    flat = {
        tuple(key.removeprefix(prefix).split("/")): value
        for key, value in load_file(file).items()
        if key.startswith(prefix)
    }
    if not flat:
        raise UserError(f"carry names {path!r}, and {file} holds nothing under that name.")
    return traverse_util.unflatten_dict(flat)


def _check_same(new: PyTree, old: PyTree, source: str, target: str) -> None:
    new_shapes = {jax.tree_util.keystr(k): v.shape for k, v in jax.tree.leaves_with_path(new)}
    old_shapes = {jax.tree_util.keystr(k): v.shape for k, v in jax.tree.leaves_with_path(old)}
    for key in sorted(new_shapes.keys() | old_shapes.keys()):
        if new_shapes.get(key) != old_shapes.get(key):
            raise UserError(
                f"carry {source!r} -> {target!r} does not fit at {key}: "
                f"{new_shapes.get(key, 'absent')} there, {old_shapes.get(key, 'absent')} here."
            )
