"""Run configurations: presets, typed overrides and strict errors around `ml_collections`.

A configuration is named by one string, `PATH[:PRESET][,KEY=VALUE...]`, for example
`configs/FILE.py:paper,data.source=folder:/pictures`; further overrides are (key, value) strings.
Nothing is guessed: an unknown preset or key, or a value of another type, is an error that
names the nearest known one.

A key holds for every stage that has no value of its own; `stages.NAME.KEY` is the key of one stage.
"""

from __future__ import annotations

import ast
import json
import pathlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections

from jaxedit.errors import UserError
from jaxedit.host import json_text, modules, nested
from jaxedit.host.names import did_you_mean

ConfigDict = ml_collections.ConfigDict
# Characters of a value that is typed; every nesting that fits can be read or refused.
_LONGEST = 10_000


def load(argument: str, overrides: Iterable[tuple[str, str]] = ()) -> ConfigDict:
    """Returns the locked configuration that `argument` names, with `overrides` applied in order.

    Args:
      argument: `PATH[:PRESET][,KEY=VALUE...]`.
      overrides: (dotted key, value as text) pairs.

    Raises:
      UserError: no such file, preset or key, a value that cannot have the key's type, or one that
        no stage would heed.
    """
    path, preset, in_string = split_argument(argument)
    module = load_module(path)
    if not hasattr(module, "get_config"):
        raise UserError(f"{path} is no configuration: it defines no get_config(preset).")
    config = module.get_config(preset) if preset else module.get_config()
    config.lock()
    for key, text in [*in_string, *overrides]:
        override(config, key, text)
    unheeded(config, [*in_string, *overrides])
    return config


def split_argument(argument: str) -> tuple[pathlib.Path, str, list[tuple[str, str]]]:
    """Returns (path, preset or "", overrides) of `PATH[:PRESET][,KEY=VALUE...]`.

    Raises:
      UserError: the string has another form.
    """
    path, found, rest = argument.partition(".py")
    if not found or (rest and rest[0] not in ":,"):
        raise UserError(
            f"--config={argument} names no configuration file. "
            "Expected PATH.py[:PRESET][,KEY=VALUE...], for example configs/FILE.py:paper."
        )
    preset, overrides = "", []
    for position, part in enumerate(filter(None, rest[1:].split(","))):
        key, equals, value = part.partition("=")
        if equals:
            overrides.append((key.strip(), value))
        elif position == 0 and rest[0] == ":":
            preset = part.strip()
        else:
            raise UserError(
                f"--config={argument}: {part!r} is neither the first word (the preset) nor "
                "KEY=VALUE. A value with a comma in it must be given as a flag: --config.KEY=VALUE."
            )
    return pathlib.Path(path + ".py"), preset, overrides


def choose_preset(presets: Mapping[str, Any], name: str) -> Any:
    """Returns `presets[name]`.

    Raises:
      UserError: there is no such preset; the message names the nearest.
    """
    if name not in presets:
        raise UserError(
            f"Unknown preset {name!r}. Known presets: {', '.join(presets)}."
            + did_you_mean(name, presets)
        )
    return presets[name]


def override(config: ConfigDict, key: str, text: str) -> None:
    """Sets the dotted `key` of `config` to the value that `text` spells, keeping its type.

    Raises:
      UserError: the key does not exist (the nearest is named) or the type does not fit.
    """
    if key.startswith("stages."):
        _override_stage(config, key, text)
        return
    *groups, last = key.split(".")
    node = config
    for group in groups:
        node = node[group] if isinstance(node, ConfigDict) and group in node else None
    if not isinstance(node, ConfigDict) or last not in node:
        raise UserError(f"Unknown configuration key {key!r}.{did_you_mean(key, flatten(config))}")
    old = node[last]
    if isinstance(old, ConfigDict):
        inside = ", ".join(f"{key}.{k}" for k in old)
        raise UserError(f"{key!r} is a group of keys, not a value. Set one of: {inside}.")
    value = _parse(key, text, old)
    with config.unlocked(), config.ignore_type():
        node[last] = value


def _override_stage(config: ConfigDict, key: str, text: str) -> None:
    """Sets `stages.NAME.KEY`, the value that one stage has in place of the configuration's."""
    rest = key.removeprefix("stages.")
    names = [stage["name"] for stage in config.get("stages", ())]
    # The longest: one name may begin like another.
    name = max((n for n in names if rest.startswith(f"{n}.")), key=len, default=None)
    if name is None:
        known = ", ".join(names) or "none, so a key holds for the whole run"
        raise UserError(
            f"{key!r} names no stage: expected stages.NAME.KEY. Stages: {known}."
            + did_you_mean(rest.partition(".")[0], names)
        )
    own = rest.removeprefix(f"{name}.")
    if own.partition(".")[0] == "stages":
        raise UserError(f"{key!r}: a stage has no stages of its own.")
    trial = config.copy_and_resolve_references()
    override(trial, own, text)
    value = flatten(trial)[own]
    changed = []
    for stage in config.stages:
        if stage["name"] == name:
            values = {**flatten(stage.get("overrides", {})), own: value}
            stage = {**stage, "overrides": nested.unflatten(values)}
        changed.append(stage)
    with config.unlocked(), config.ignore_type():
        config.stages = tuple(changed)


def unheeded(config: ConfigDict, overrides: Iterable[tuple[str, str]]) -> list[str]:
    """Returns a line for each override that some stage does not heed, having its own value.

    Args:
      config: with the overrides.
      overrides: (dotted key, value as text) pairs.

    Raises:
      UserError: no stage at all heeds an override.
    """
    table = config.get("stages", ())
    if not isinstance(table, tuple) or not all(isinstance(s, Mapping) for s in table):
        return []  # `run/stages.py` says what is wrong with it
    overrides, values = list(overrides), flatten(config)
    said = {key for key, _ in overrides}
    lines = []
    for key in dict.fromkeys(key for key, _ in overrides if key in values and key != "stages"):
        own = {
            stage.get("name"): found[key] for stage in table
            if isinstance(stage.get("overrides", {}), Mapping)
            and key in (found := flatten(stage.get("overrides", {})))
        }
        own = {name: value for name, value in own.items() if f"stages.{name}.{key}" not in said}
        if not any(value != values[key] for value in own.values()):
            continue
        theirs = ", ".join(f"{name} ({value!r})" for name, value in own.items())
        ways = " ".join(f"--config.stages.{name}.{key}={values[key]}" for name in own)
        if len(own) == len(table):
            raise UserError(f"{key}={values[key]} changes nothing: every stage has a value of its "
                            f"own, {theirs}. Set {ways} instead.")
        lines.append(f"{key}={values[key]} does not hold where a stage has a value of its own: "
                     f"{theirs}. Add {ways} to change that too.")
    return lines


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns dotted key -> value of every leaf of a configuration or of nested dicts."""
    return nested.flatten(config.to_dict() if isinstance(config, ConfigDict) else config)


def to_json(config: ConfigDict) -> str:
    """Returns the configuration as indented JSON; tuples become lists."""
    return json.dumps(config.to_dict(), indent=2, default=_plain) + "\n"


def from_json(text: str) -> ConfigDict:
    """Returns the locked configuration that `to_json` wrote; lists become tuples again."""
    return ConfigDict(_tuples(json_text.loads(text))).lock()


def differences(one: ConfigDict, other: ConfigDict) -> list[str]:
    """Returns a line for each key whose value differs between two configurations."""
    left, right = (flatten(from_json(to_json(c))) for c in (one, other))
    lines = []
    for key in sorted(left.keys() | right.keys()):
        a, b = left.get(key, "(absent)"), right.get(key, "(absent)")
        if a != b:
            lines.append(f"{key}: {a!r} there, {b!r} here")
    return lines


def _parse(key: str, text: str, old: Any) -> Any:
    if len(text) > _LONGEST:
        raise UserError(
            f"{key}={text[:40]}...: a value of {len(text)} characters; at most {_LONGEST} can be "
            "given so. Longer ones stand in a configuration file."
        )
    if isinstance(old, str):
        return text
    if isinstance(old, bool):
        words = {"true": True, "1": True, "false": False, "0": False}
        if text.lower() in words:
            return words[text.lower()]
        raise UserError(f"{key}={text}: expected true or false.")
    try:
        value = ast.literal_eval(text)
        if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError, OverflowError):
        if old is None:
            return text
        value = text
    if old is None or value is None and not isinstance(old, int | float):
        return value
    if isinstance(old, tuple | list) and isinstance(value, tuple | list):
        return tuple(value)
    if type(value) is type(old):
        return value
    raise UserError(
        f"{key}={text}: expected a value of type {type(old).__name__}, like {old!r}."
    )


def load_module(path: pathlib.Path):
    """Returns the configuration file as a module; raises UserError if there is no such file."""
    if not path.is_file():
        folder = path.parent
        near = sorted(str(p) for p in folder.glob("*.py") if p.stem not in ("common", "__init__"))
        hint = f" There are: {', '.join(near)}." if near else ""
        raise UserError(f"No configuration file {path}.{hint}")
    # `from configs import common` must work from any working directory, and for a configuration
    # that stands elsewhere: then it is the checkout's.
    for root in (pathlib.Path(__file__).resolve().parents[1], path.resolve().parent.parent):
        if str(root) not in sys.path:
            sys.path.insert(0, str(root))
    return modules.load(path, f"jaxedit_config_{path.stem}")


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _tuples(v) for k, v in value.items()}
    if isinstance(value, list):
        return tuple(_tuples(v) for v in value)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, ConfigDict):
        return value.to_dict()
    raise TypeError(f"A configuration holds {value!r}, which JSON cannot")
