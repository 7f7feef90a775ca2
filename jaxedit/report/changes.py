"""What the variants of a sweep change, for a terminal: only what differs from the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Overrides = Mapping[str, Any]


def lines(variants: Mapping[str, Overrides], configured: Mapping[str, Any]) -> list[str]:
    """Returns a line for each variant, and one ahead of them for what all change alike.

    Args:
      variants: name -> {dotted key: value}.
      configured: dotted key -> value without overrides; sequences are tuples.
    """
    changed = {
        name: {
            key: value for key, value in overrides.items()
            if key not in configured or configured[key] != value
        }
        for name, overrides in variants.items()
    }
    first = next(iter(changed.values()), {})
    alike = {
        key: value for key, value in first.items()
        if len(changed) > 1 and all(key in c and c[key] == value for c in changed.values())
    }
    found = [f"{'(every variant)':26} {_text(alike, configured)}"] if alike else []
    for name, values in changed.items():
        own = {key: value for key, value in values.items() if key not in alike}
        found.append(f"{name:26} {_text(own, configured) or '(as configured)'}")
    return found


def _text(values: Overrides, configured: Mapping[str, Any]) -> str:
    words = []
    for key, value in values.items():
        if key == "stages":
            words.append(f"stages: {_stages(value, configured.get(key, ()))};")
        else:
            words.append(f"{key}={value if isinstance(value, str) else repr(value)}")
    return " ".join(words).removesuffix(";")


def _stages(table: Sequence[Mapping[str, Any]], configured: Sequence[Mapping[str, Any]]) -> str:
    """Returns the names of the stages, each with what it has unlike the configured one."""
    usual = {stage["name"]: stage for stage in configured}
    return ", ".join(_stage(stage, usual.get(stage["name"], {})) for stage in table)


def _stage(stage: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    words = [f"without {key}" for key in usual if key not in stage]
    for key, value in stage.items():
        if key == "name" or value == usual.get(key, {} if key == "overrides" else None):
            continue
        if key in ("start", "carry"):
            value = ", ".join(source for source, _ in value)
        words.append(f"{key}: {value}")
    return stage["name"] + (f" ({'; '.join(words)})" if words else "")
