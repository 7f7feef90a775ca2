"""Stages as data: pre-training then fine-tuning, several networks in turn, all the same loop.

`config.stages` is a tuple of {"name", "overrides", "start", "build"}; an empty one means a single
stage named "train". `overrides` is a nested dict laid over the base configuration. A stage with
`"build": True` makes an artefact instead of training (`run/artifacts.py`). `start` lists
(from, to) pairs of what the stage starts from (`carry` is another name of it). `to` is a path in
the new state, `from` one of

    STAGE:PATH                  an earlier stage's result
    weights:NAME[:PATH]         weights by name; PATH in a published bundle begins with a network,
                                in weights of this project with a field of a state
    FILE.safetensors:PATH       a file
    artifact:STAGE:FILE[:PATH]  a file that an earlier host stage made

Paths are slash-separated; those of a state start with a field of `State`, for example
`params/generator`. `to` must exist in `params` and `stats`, where shapes must agree; in `ema`,
`frozen` and `extra` it may be new. Optimizer states and averages follow from the parameters that
result (`Method.init`); `run/starting.py` reads the values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxedit import bounds
from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.errors import UserError
from jaxedit.host.names import check_choice, did_you_mean

_KEYS = ("name", "overrides", "start", "carry", "build")
WORK = ".partial"  # ends the name of the folder in which an artefact is being made
_LONGEST = 100  # bytes: file systems allow 255, and what stands in a name beside the stage's counts
_EXAMPLE = '({"name": "first", "overrides": {"train": {"steps": 100}}},)'


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
      name: the folder of its checkpoints.
      config: the base configuration with the stage's overrides, locked.
      start: (from, to) pairs, see the module docstring.
      build: whether it is a host stage.
    """

    name: str
    config: config_lib.ConfigDict
    start: tuple[tuple[str, str], ...] = ()
    build: bool = False


def read(config: config_lib.ConfigDict) -> list[Stage]:
    """Returns the stages of a run, in order.

    Raises:
      UserError: the table of stages is malformed, two stages share a name, or an override names an
        unknown key.
    """
    _check_table(config.stages)
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
        start = _pairs(name, entry)
        stages.append(Stage(name, stage_config.lock(), start, bool(entry.get("build", False))))
    return stages


def check(config: config_lib.ConfigDict) -> None:
    """Holds the configuration of every stage to the rules of its keys, before anything starts.

    Raises:
      UserError: values break their rules, the table of stages is malformed, a stage's name cannot
        be that of its folders, there is no such method, or no such stage to be measured; the
        message names every such stage, key, value, rule and an example.
    """
    every = read(config)
    trained = [stage.name for stage in every if not stage.build]
    faults: list[str] = []
    for stage in every:
        _check_name(stage.name)
        for key, rule in method_lib.bounds(stage.config).items():
            here, above = (repr(bounds.lookup(c, key)) for c in (stage.config, config))
            where = "" if here == above else f"Stage {stage.name!r}: "
            faults += bounds.faults(stage.config, {key: rule}, where=where)
    bounds.refuse(list(dict.fromkeys(faults)))  # what every stage has is said once
    for stage in every:
        for key in ("evaluate.compare", "evaluate.stages"):
            for name in bounds.lookup(stage.config, key)[1] or ():
                check_choice(f"A stage in {key}", name, trained)


def _check_table(table: Any) -> None:
    """Raises UserError unless `table` is a sequence of entries with a name."""
    if not isinstance(table, tuple | list):
        raise UserError(
            f"config.stages={table!r}: expected a sequence of stages, for example {_EXAMPLE}; "
            "() is a single one."
        )
    for position, entry in enumerate(table):
        where = f"config.stages[{position}]"
        if not isinstance(entry, Mapping | config_lib.ConfigDict):
            raise UserError(f"{where}={entry!r}: expected an entry as in {_EXAMPLE}.")
        for key in entry:
            check_choice(f"{where}: key", key, _KEYS)
        name = entry.get("name")
        if not isinstance(name, str) or not name:
            raise UserError(f"{where}: name={name!r}: expected a text, as in {_EXAMPLE}.")
        overrides = entry.get("overrides", {})
        if not _is_table(overrides):
            raise UserError(
                f"Stage {name!r}: overrides={overrides!r}: expected groups of keys with their "
                f"values, as in {_EXAMPLE}."
            )
        build = entry.get("build", False)
        if not isinstance(build, bool):
            raise UserError(f"Stage {name!r}: build={build!r}: expected True or False.")


def _check_name(name: str) -> None:
    """Raises UserError unless `name` can be that of a folder, below which nothing else writes.

    Orbax looks for its files by patterns, in which `*`, `?` and brackets stand for others.
    """
    unfit = sorted({c for c in name if c in '/\\:*?[]' or not c.isprintable()})
    if unfit:
        reason = f"it holds {', '.join(map(repr, unfit))}"
    elif name[0] in ". " or name[-1] in ". ":
        reason = "it begins or ends with a dot or a space"
    elif name.endswith(WORK):
        reason = f"it ends with {WORK!r}, as the folder of an unfinished artefact does"
    elif len(name.encode()) > _LONGEST:
        reason = f"it has {len(name.encode())} bytes"
    else:
        return
    raise UserError(
        f"config.stages: the name {name[:_LONGEST]!r} cannot be that of a folder: {reason}. A "
        f"stage's name has 1 to {_LONGEST} bytes, none of / \\ : * ? [ ] and no control character, "
        "begins and ends with neither a dot nor a space, for example 'first'."
    )


def _is_table(value: Any) -> bool:
    """Whether it is a dict, and those inside it are, with texts for keys."""
    if not isinstance(value, Mapping | config_lib.ConfigDict):
        return False
    inside = [v for v in value.values() if isinstance(v, Mapping | config_lib.ConfigDict)]
    return all(isinstance(key, str) for key in value) and all(map(_is_table, inside))


def _pairs(name: str, entry: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Returns what a stage starts from, as (from, to); `carry` is another name of `start`."""
    for key in ("carry", "start"):
        for pair in _listed(entry.get(key, ())):
            texts = isinstance(pair, tuple | list) and [p for p in pair if isinstance(p, str)]
            if not texts or not len(texts) == len(pair) == 2:
                raise UserError(
                    f"Stage {name!r}: {key} holds {pair!r}; expected pairs of texts such as "
                    "(('sketch:ema/painter', 'params/painter'),)."
                )
    return tuple((a, b) for key in ("carry", "start") for a, b in entry.get(key, ()))


def _listed(value: Any) -> tuple:
    """Returns the members of a sequence; anything else counts as its own and only member."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)
